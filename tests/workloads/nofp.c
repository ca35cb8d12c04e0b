// SPDX-License-Identifier: BSD-2-Clause
/*
 * nofp: threads that block at the end of call chains which are hard to unwind. Build it with -O2
 * -fomit-frame-pointer. Each thread goes through its chain in three rounds, from functions of
 * their own (round_one, round_two, round_three), so that stacks tell the rounds apart; a line on
 * stdin ends a round. Prints {"event":"ready",...} with the threads, and "round" after each.
 *
 * nofp constructor: blocks in a constructor, before main, until a line comes on stdin.
 * nofp vfork: each round is a vfork whose child blocks.
 * nofp busy: threads that never block, to be stopped anywhere.
 */
#include <alloca.h>
#include <signal.h>
#include <sys/wait.h>
#include "workload.h"

#define ROUNDS       3
#define DEPTH        40
#define STACK_BYTES  65536
#define HANDLER_NAP  (20 * NS_PER_MS)
#define SIGNAL_PLAIN SIGUSR1
#define SIGNAL_ALT   SIGUSR2

struct chain {
	const char *name;
	int (*run)(int fd);
	pid_t tid;
};

static int gates[ROUNDS][2]; /* a pipe a round: closing its end for writing opens the gate */
static int now_round;
static int entered; /* chains that have begun, over all rounds */
static volatile int sink;
static __thread int own_fd; /* for functions that get no argument of ours */

static NOINLINE int block(int fd)
{
	char c;
	int n = (int)read(fd, &c, 1);

	KEEP_FRAME();
	return n;
}

/* Calls that the compiler must not see through. */
static int (*volatile blocks)(int fd) = block;

static NOINLINE int recurse(int fd, int depth)
{
	int n = depth ? recurse(fd, depth - 1) : blocks(fd);

	KEEP_FRAME();
	return n + depth;
}

static NOINLINE int run_recursion(int fd)
{
	return recurse(fd, DEPTH) + 1;
}

static NOINLINE int run_alloca(int fd)
{
	char *p = alloca((size_t)sink + 100);
	int n;

	memset(p, fd, 100);
	n = blocks(fd);
	return n + p[sink];
}

static NOINLINE int run_vla(int fd)
{
	int n = 10 + sink;
	int array[n];

	for (int i = 0; i < n; i++)
		array[i] = fd;
	n = blocks(fd);
	return n + array[sink];
}

static int compare(const void *a, const void *b)
{
	static __thread int last;

	if (last != own_fd) {
		last = own_fd;
		sink += blocks(own_fd);
	}
	return *(const int *)a - *(const int *)b;
}

static NOINLINE int run_qsort(int fd)
{
	int array[20];

	own_fd = fd;
	for (int i = 0; i < 20; i++)
		array[i] = 20 - i;
	qsort(array, 20, sizeof(*array), compare);
	return array[0] + sink;
}

static NOINLINE void handler_body(int fd)
{
	struct timespec ts = { .tv_nsec = HANDLER_NAP };
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (!poll(&p, 1, 0))
		nanosleep(&ts, NULL);
	KEEP_FRAME();
}

static void on_signal(int number)
{
	(void)number;
	handler_body(own_fd);
	KEEP_FRAME();
}

/* The signal comes in the middle of this function, between any two of its instructions. */
static NOINLINE int spin(volatile int *done)
{
	int n = 0;

	while (!*done)
		n += sink + 1;
	return n;
}

static NOINLINE int run_signal(int fd)
{
	own_fd = fd;
	sink += (int)syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGNAL_PLAIN);
	return sink;
}

static NOINLINE int run_altstack(int fd)
{
	own_fd = fd;
	raise(SIGNAL_ALT);
	return sink + 1;
}

static __thread volatile int tick;

static void on_timer(int number)
{
	(void)number;
	handler_body(own_fd);
	tick = 1;
}

/* By a timer: the interrupted instruction is not after a call. */
static NOINLINE int run_interrupted(int fd)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };
	struct itimerspec when = { .it_value.tv_nsec = NS_PER_MS };
	timer_t timer;
	int n;

	own_fd = fd;
	tick = 0;
	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &when, NULL))
		die("timer");
	n = spin(&tick);
	timer_delete(timer);
	return n;
}

/* Realigned and with a stack of variable size and arguments on the stack: a DRAP frame. */
static NOINLINE int drap(int a, int b, int c, int d, int e, int f, int g, int fd)
{
	_Alignas(128) char aligned[256];
	char *p = alloca((size_t)sink + 64);
	int n;

	memset(aligned, a, sizeof(aligned));
	memset(p, b, 64);
	__asm__ volatile("" : : "r"(aligned), "r"(p) : "memory");
	n = blocks(fd);
	return n + aligned[c] + p[d] + e + f + g;
}

static NOINLINE int run_drap(int fd)
{
	return drap(1, 2, 3, 4, 5, 6, 7, fd) + 1;
}

static NOINLINE int run_aligned(int fd)
{
	_Alignas(64) char aligned[192];
	int n;

	memset(aligned, fd, sizeof(aligned));
	__asm__ volatile("" : : "r"(aligned) : "memory");
	n = blocks(fd);
	return n + aligned[sink & 1];
}

static NOINLINE __attribute__((force_align_arg_pointer)) int run_force_align(int fd)
{
	int n = blocks(fd);

	KEEP_FRAME();
	return n + 1;
}

/* All callee-saved registers pushed, then more stack in the middle of the function. */
static NOINLINE int many(int a, int b, int c, int d, int e, int f, int g, int h, int i, int fd)
{
	int n = 0;

	for (int k = 0; k < 3; k++) {
		n += a * k + b;
		sink = (n ^ c) + d * e - f + g * h - i;
		__asm__ volatile("" : : : "rbx", "rbp", "r12", "r13", "r14", "r15", "memory");
	}
	sink = 0;
	return n + blocks(fd) + (a + b) * (c + d);
}

static NOINLINE int run_arguments(int fd)
{
	return many(1, 2, 3, 4, 5, 6, 7, 8, 9, fd) + 1;
}

/* libc blocks itself, called through the PLT. */
static NOINLINE int run_plt(int fd)
{
	char *line = NULL;
	size_t size = 0;
	FILE *f = fdopen(dup(fd), "r");
	int n;

	if (!f)
		die("fdopen");
	n = (int)getline(&line, &size, f);
	free(line);
	fclose(f);
	return n;
}

/* Five functions for probes. */
#define NESTED(name, next)                                                                         \
	NOINLINE int name(int fd);                                                                 \
	NOINLINE int name(int fd)                                                                  \
	{                                                                                          \
		volatile char room[40] = { 0 };                                                    \
		int n = next(fd);                                                                  \
                                                                                                   \
		KEEP_FRAME();                                                                      \
		return n + room[1];                                                                \
	}

NESTED(nested_five, blocks)
NESTED(nested_four, nested_five)
NESTED(nested_three, nested_four)
NESTED(nested_two, nested_three)
NESTED(nested_one, nested_two)

static struct chain chains[] = {
	{ .name = "recursion", .run = run_recursion },
	{ .name = "alloca", .run = run_alloca },
	{ .name = "vla", .run = run_vla },
	{ .name = "qsort", .run = run_qsort },
	{ .name = "signal", .run = run_signal },
	{ .name = "altstack", .run = run_altstack },
	{ .name = "interrupted", .run = run_interrupted },
	{ .name = "drap", .run = run_drap },
	{ .name = "aligned", .run = run_aligned },
	{ .name = "force-align", .run = run_force_align },
	{ .name = "arguments", .run = run_arguments },
	{ .name = "plt", .run = run_plt },
	{ .name = "nested", .run = nested_one },
};

#define CHAINS ((int)(sizeof(chains) / sizeof(*chains)))

static void enter(void)
{
	__atomic_add_fetch(&entered, 1, __ATOMIC_RELEASE);
}

#define ROUND(name, number)                                                                        \
	static NOINLINE int name(struct chain *c)                                                  \
	{                                                                                          \
		int n;                                                                             \
                                                                                                   \
		enter();                                                                           \
		n = c->run(gates[number][0]);                                                      \
		KEEP_FRAME();                                                                      \
		return n;                                                                          \
	}

ROUND(round_one, 0)
ROUND(round_two, 1)
ROUND(round_three, 2)

static void *thread_main(void *arg)
{
	struct chain *c = arg;
	stack_t alt = { .ss_size = STACK_BYTES, .ss_sp = malloc(STACK_BYTES) };

	prctl(PR_SET_NAME, c->name);
	c->tid = (pid_t)syscall(SYS_gettid);
	if (!alt.ss_sp || sigaltstack(&alt, NULL))
		die("sigaltstack");
	sink += round_one(c) & 0;
	sink += round_two(c) & 0;
	sink += round_three(c) & 0;
	return NULL;
}

static void print_chains(const char *event)
{
	printf("{\"event\":\"%s\",\"pid\":%d,\"threads\":[", event, getpid());
	for (int i = 0; i < CHAINS; i++)
		printf("%s{\"name\":\"%s\",\"tid\":%d}", i ? "," : "", chains[i].name,
		       chains[i].tid);
	printf("]}\n");
	fflush(stdout);
}

/* All threads are in their chains, and have had the time to get to its end. */
static void await_entered(int n)
{
	while (__atomic_load_n(&entered, __ATOMIC_ACQUIRE) < n)
		sleep_ns(NS_PER_MS);
	sleep_ns(100 * NS_PER_MS);
}

static void run_rounds(void)
{
	for (now_round = 0; now_round < ROUNDS; now_round++) {
		await_entered((now_round + 1) * CHAINS);
		print_chains(now_round ? "round" : "ready");
		await_test();
		close(gates[now_round][1]);
	}
}

/* vfork: the parent waits in it, the child at the same place in the same memory. */
static NOINLINE int run_vfork(int fd)
{
	pid_t pid = vfork();
	int status;

	if (pid < 0)
		die("vfork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < ROUNDS; i++)
			close(gates[i][1]); /* its own copies: else it would keep its gate shut */
		blocks(fd);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void *vfork_main(void *arg)
{
	(void)arg;
	prctl(PR_SET_NAME, "vfork");
	chains[0].tid = (pid_t)syscall(SYS_gettid);
	chains[0].run = run_vfork;
	sink += round_one(&chains[0]) & 0;
	sink += round_two(&chains[0]) & 0;
	sink += round_three(&chains[0]) & 0;
	return NULL;
}

/* In user mode nearly all of the time, in functions of all kinds. */
static NOINLINE int busy_leaf(int n)
{
	char text[16];

	return abs(n) + (int)strlen(strcpy(text, n & 1 ? "odd" : "even"));
}

static NOINLINE int busy_deep(int n, int depth)
{
	volatile char room[24] = { (char)depth };
	int sum = depth ? busy_deep(n + 1, depth - 1) : busy_leaf(n);

	KEEP_FRAME();
	return sum + room[0];
}

static NOINLINE int busy_drap(int a, int b, int c, int d, int e, int f, int g, int n)
{
	_Alignas(64) char aligned[64];
	char *p = alloca((size_t)(n & 15) + 16);

	memset(aligned, a, sizeof(aligned));
	memset(p, b, 16);
	__asm__ volatile("" : : "r"(aligned), "r"(p) : "memory");
	return busy_deep(n, 3) + c + d + e + f + g;
}

static int busy_compare(const void *a, const void *b)
{
	return busy_leaf(*(const int *)a) - *(const int *)b;
}

static void *busy_main(void *arg)
{
	int array[8] = { 5, 3, 8, 1, 9, 2, 7, 4 };

	(void)arg;
	prctl(PR_SET_NAME, "busy");
	for (int n = 0;; n++) {
		sink = busy_drap(1, 2, 3, 4, 5, 6, 7, n) & 0;
		array[n & 7] = n;
		qsort(array, 8, sizeof(*array), busy_compare);
	}
	return NULL;
}

static __attribute__((constructor)) void constructor(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "constructor")) {
		printf("{\"event\":\"ready\",\"pid\":%d}\n", getpid());
		fflush(stdout);
		sink += blocks(STDIN_FILENO) & 0;
	}
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGNAL_PLAIN, &action, NULL);
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGNAL_ALT, &action, NULL);
	action.sa_flags = 0;
	action.sa_handler = on_timer;
	sigaction(SIGALRM, &action, NULL);
}

int main(int argc, char **argv)
{
	const char *mode = argc == 2 ? argv[1] : "";
	pthread_t t;

	for (int i = 0; i < ROUNDS; i++)
		if (pipe2(gates[i], O_CLOEXEC))
			die("pipe2");
	catch_signals();
	if (!strcmp(mode, "constructor"))
		return 0;
	if (!strcmp(mode, "busy")) {
		if (pthread_create(&t, NULL, busy_main, NULL))
			die("pthread_create");
		print_chains("ready");
		await_test();
		return 0;
	}
	if (!strcmp(mode, "vfork")) {
		if (pthread_create(&t, NULL, vfork_main, NULL))
			die("pthread_create");
		await_entered(1);
		print_chains("ready");
		for (int i = 0; i < ROUNDS; i++) {
			await_test();
			close(gates[i][1]);
		}
		return 0;
	}
	for (int i = 0; i < CHAINS; i++)
		if (pthread_create(&t, NULL, thread_main, &chains[i]))
			die("pthread_create");
	run_rounds();
	return 0;
}
