/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the programs with a known truth share: clocks, the truth that a thread measures of itself,
 * and the gates that keep all of the work between "the recording has begun" and "it ends".
 *
 * A worker is off CPU in a gate (a read of an eventfd, [event read]) before and after its work
 * and uses no eventfd otherwise, so what it waits for elsewhere is its work's alone.
 *
 * Truth of a wait: wall time around it, less the thread's own CPU time and less the time it stood
 * on the run queue (/proc/.../schedstat, where the kernel has it), all read by the thread itself.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__clang__)
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif
#define NS_PER_MS        1000000LL
#define NS_PER_S         1000000000LL
#define WORKER_WAITS     4      /* kinds of waits of one worker */
#define WORKLOAD_GIVE_UP 120000 /* ms: no workload outlives its test by more */

/* A function that ends in this is not a tail call, so its frame stays. */
#define KEEP_FRAME() __asm__ volatile("" ::: "memory")

struct moment {
	int64_t wall_ns, cpu_ns, run_delay_ns;
};

struct wait {
	const char *reason; /* foldd's word for it */
	struct moment sum;
	int64_t blocked_ns;
	uint64_t count;
};

struct worker {
	const char *name;
	void (*run)(struct worker *w);
	pthread_t thread;
	pid_t tid;
	int gate;      /* eventfd */
	int schedstat; /* -1: this kernel does not tell */
	int64_t stop_ns;
	struct moment begin, end; /* of the work */
	struct moment burn;       /* spent in burning CPU */
	struct wait waits[WORKER_WAITS];
};

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline int64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static inline int64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static inline int open_schedstat(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%ld/schedstat", syscall(SYS_gettid));
	return open(path, O_RDONLY | O_CLOEXEC);
}

static inline int64_t run_delay_ns(int schedstat)
{
	char text[96];
	int64_t on_cpu = 0, delay = 0;
	ssize_t n = schedstat < 0 ? -1 : pread(schedstat, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = 0;
	return sscanf(text, "%" SCNd64 " %" SCNd64, &on_cpu, &delay) == 2 ? delay : 0;
}

/* Outermost clock last at the begin and first at the end: wall time holds the wait and no more. */
static inline struct moment moment_begin(const struct worker *w)
{
	struct moment m;

	m.run_delay_ns = run_delay_ns(w->schedstat);
	m.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	m.wall_ns = now_ns();
	return m;
}

static inline struct moment moment_end(const struct worker *w)
{
	struct moment m;

	m.wall_ns = now_ns();
	m.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	m.run_delay_ns = run_delay_ns(w->schedstat);
	return m;
}

static inline void moment_add(struct moment *sum, const struct moment *a, const struct moment *b)
{
	sum->wall_ns += b->wall_ns - a->wall_ns;
	sum->cpu_ns += b->cpu_ns - a->cpu_ns;
	sum->run_delay_ns += b->run_delay_ns - a->run_delay_ns;
}

static inline void wait_done(struct worker *w, const char *reason, const struct moment *begin)
{
	struct moment end = moment_end(w);
	struct wait *t;
	int i;

	for (i = 0; i < WORKER_WAITS - 1; i++)
		if (!w->waits[i].reason || !strcmp(w->waits[i].reason, reason))
			break;
	t = &w->waits[i];
	t->reason = reason;
	moment_add(&t->sum, begin, &end);
	t->blocked_ns = t->sum.wall_ns - t->sum.cpu_ns - t->sum.run_delay_ns;
	t->count++;
}

static inline void sleep_ns(int64_t ns)
{
	struct timespec ts = { .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

static inline void sleep_measured(struct worker *w, int64_t ns)
{
	struct moment begin = moment_begin(w);

	sleep_ns(ns);
	wait_done(w, "sleep", &begin);
}

/* Burn for cpu_ns of own CPU time or wall_ns of wall time, whichever is given. */
static inline void burn(struct worker *w, int64_t cpu_ns, int64_t wall_ns)
{
	struct moment begin = moment_begin(w), end;
	volatile unsigned int sink = 0;

	do {
		for (int i = 0; i < 20000; i++)
			sink = sink * 2654435761U + (unsigned int)i;
		end.wall_ns = now_ns();
		end.cpu_ns = cpu_ns ? clock_ns(CLOCK_THREAD_CPUTIME_ID) : 0;
	} while (cpu_ns ? end.cpu_ns - begin.cpu_ns < cpu_ns
			: end.wall_ns - begin.wall_ns < wall_ns);
	end = moment_end(w);
	moment_add(&w->burn, &begin, &end);
}

static inline bool time_left(const struct worker *w)
{
	return now_ns() < w->stop_ns;
}

static inline void gate_pass(struct worker *w)
{
	uint64_t one;

	while (read(w->gate, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static inline void gate_open(struct worker *w)
{
	uint64_t one = 1;

	if (write(w->gate, &one, sizeof(one)) != sizeof(one))
		die("eventfd");
}

/* Counts the workers that are ready, or done. Nobody waits for a barrier here: some work does. */
static int workers_met;

static inline void meet(void)
{
	uint64_t one = 1;

	if (write(workers_met, &one, sizeof(one)) != sizeof(one))
		die("eventfd");
}

static inline void await_all(int n)
{
	uint64_t met;

	for (uint64_t sum = 0; sum < (uint64_t)n; sum += met)
		if (read(workers_met, &met, sizeof(met)) != sizeof(met))
			die("eventfd");
}

static inline void *worker_main(void *arg)
{
	struct worker *w = arg;

	prctl(PR_SET_NAME, w->name);
	w->tid = (pid_t)syscall(SYS_gettid);
	w->schedstat = open_schedstat();
	meet();
	gate_pass(w);
	w->begin = moment_begin(w);
	w->run(w);
	w->end = moment_end(w);
	meet();
	gate_pass(w);
	return NULL;
}

static inline void workers_start(struct worker *workers, int n)
{
	workers_met = eventfd(0, EFD_CLOEXEC);
	for (int i = 0; i < n; i++) {
		workers[i].gate = eventfd(0, EFD_CLOEXEC);
		if (workers[i].gate < 0)
			die("eventfd");
		if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]))
			die("pthread_create");
	}
	await_all(n);
}

static inline void workers_go(struct worker *workers, int n, int64_t duration_ns)
{
	int64_t stop = now_ns() + duration_ns;

	for (int i = 0; i < n; i++) {
		workers[i].stop_ns = stop;
		gate_open(&workers[i]);
	}
}

/* All have done their work and are on the way into the last gate. */
static inline void workers_done(int n)
{
	await_all(n);
}

static inline void workers_end(struct worker *workers, int n)
{
	for (int i = 0; i < n; i++)
		gate_open(&workers[i]);
	for (int i = 0; i < n; i++)
		pthread_join(workers[i].thread, NULL);
}

static inline void print_moment(const char *prefix, const struct moment *m)
{
	printf("\"%swall_ns\":%" PRId64 ",\"%scpu_ns\":%" PRId64 ",\"%srun_delay_ns\":%" PRId64,
	       prefix, m->wall_ns, prefix, m->cpu_ns, prefix, m->run_delay_ns);
}

static inline void print_worker(const struct worker *w)
{
	struct moment work = { 0 };

	moment_add(&work, &w->begin, &w->end);
	printf("{\"name\":\"%s\",\"tid\":%d,\"schedstat\":%s,", w->name, w->tid,
	       w->schedstat >= 0 ? "true" : "false");
	print_moment("", &work);
	printf(",");
	print_moment("burn_", &w->burn);
	printf(",\"waits\":{");
	for (int i = 0; i < WORKER_WAITS && w->waits[i].reason; i++) {
		const struct wait *t = &w->waits[i];

		printf("%s\"%s\":{\"blocked_ns\":%" PRId64 ",\"count\":%" PRIu64 ",", i ? "," : "",
		       t->reason, t->blocked_ns, t->count);
		print_moment("", &t->sum);
		printf("}");
	}
	printf("}}");
}

/* One JSON line: {"event":EVENT,"pid":PID,"threads":[...]}. */
static inline void print_workers(const char *event, const struct worker *workers, int n)
{
	printf("{\"event\":\"%s\",\"pid\":%d,\"time_ns\":%" PRId64 ",\"threads\":[", event,
	       getpid(), now_ns());
	for (int i = 0; i < n; i++) {
		printf("%s", i ? "," : "");
		print_worker(&workers[i]);
	}
	printf("]}\n");
	fflush(stdout);
}

/* The next line from the test, or its end; gives up after WORKLOAD_GIVE_UP. */
static inline void await_test(void)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	char c;

	do {
		if (poll(&p, 1, WORKLOAD_GIVE_UP) <= 0)
			exit(3);
	} while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n');
}

static inline long number_argument(int argc, char **argv, int i, long fallback, long max)
{
	char *end;
	long n;

	if (i >= argc)
		return fallback;
	n = strtol(argv[i], &end, 10);
	if (*end || n < 0 || n > max) {
		fprintf(stderr, "%s: not a number from 0 to %ld: %s\n", argv[0], max, argv[i]);
		exit(2);
	}
	return n;
}

#endif
