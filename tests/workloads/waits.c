// SPDX-License-Identifier: BSD-2-Clause
/*
 * waits SECONDS [DIR]: one thread for each reason to wait, in amounts that it measures itself,
 * for SECONDS; then a thread that burns CPU time and two that share a CPU, for a quarter of that.
 *
 * Prints a line of JSON when its threads stand ready, begins at the first line on stdin, prints
 * the truth when all have done their work, and ends with the second line (or the end of stdin).
 * DIR is where the files for fsync go.
 */
#include <semaphore.h>
#include <sys/stat.h>
#include "workload.h"

static const char *disk_dir = "/tmp";
static int64_t duration_ns;
static int first_cpu;

static int fed_pipe[2], idle_pipe[2];
static pthread_mutex_t contended = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t cond_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static unsigned int cond_ticks;
static bool feeding = true;
static sem_t sem;
static pthread_rwlock_t write_held = PTHREAD_RWLOCK_INITIALIZER;
static pthread_rwlock_t read_held = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;

static NOINLINE void run_sleeper(struct worker *w)
{
	while (time_left(w))
		sleep_measured(w, 10 * NS_PER_MS);
}

/* Feeds the pipe, the condition variable and the semaphore in turn, each every 21 ms. */
static NOINLINE void run_feeder(struct worker *w)
{
	for (unsigned int i = 0; time_left(w); i++) {
		sleep_measured(w, 7 * NS_PER_MS);
		if (i % 3 == 0 && write(fed_pipe[1], "x", 1) != 1)
			die("write");
		if (i % 3 == 1) {
			pthread_mutex_lock(&cond_mutex);
			cond_ticks++;
			pthread_mutex_unlock(&cond_mutex);
			pthread_cond_signal(&cond);
		}
		if (i % 3 == 2)
			sem_post(&sem);
	}
	__atomic_store_n(&feeding, false, __ATOMIC_SEQ_CST);
	close(fed_pipe[1]);
	pthread_mutex_lock(&cond_mutex);
	cond_ticks++;
	pthread_mutex_unlock(&cond_mutex);
	pthread_cond_signal(&cond);
	sem_post(&sem);
}

static bool still_fed(void)
{
	return __atomic_load_n(&feeding, __ATOMIC_SEQ_CST);
}

static NOINLINE void run_piper(struct worker *w)
{
	struct moment begin;
	ssize_t n;
	char c;

	do {
		begin = moment_begin(w);
		n = read(fed_pipe[0], &c, 1);
		wait_done(w, "pipe read", &begin);
	} while (n == 1);
}

static NOINLINE void run_condvar(struct worker *w)
{
	unsigned int seen = 0;

	do {
		struct moment begin = moment_begin(w);

		pthread_mutex_lock(&cond_mutex);
		while (cond_ticks == seen)
			pthread_cond_wait(&cond, &cond_mutex);
		seen = cond_ticks;
		pthread_mutex_unlock(&cond_mutex);
		wait_done(w, "futex condvar", &begin);
	} while (still_fed());
}

static NOINLINE void run_semaphore(struct worker *w)
{
	do {
		struct moment begin = moment_begin(w);

		while (sem_wait(&sem) && errno == EINTR)
			;
		wait_done(w, "futex sem", &begin);
	} while (still_fed());
}

static NOINLINE void run_poller(struct worker *w)
{
	struct pollfd p = { .fd = idle_pipe[0], .events = POLLIN };

	while (time_left(w)) {
		struct moment begin = moment_begin(w);

		poll(&p, 1, 15);
		wait_done(w, "poll", &begin);
	}
}

static NOINLINE void run_holder(struct worker *w)
{
	while (time_left(w)) {
		struct moment begin = moment_begin(w);

		pthread_mutex_lock(&contended);
		wait_done(w, "futex mutex", &begin);
		sleep_measured(w, 20 * NS_PER_MS);
		pthread_mutex_unlock(&contended);
		sleep_measured(w, 10 * NS_PER_MS);
	}
}

static NOINLINE void run_mutex(struct worker *w)
{
	while (time_left(w)) {
		struct moment begin = moment_begin(w);

		pthread_mutex_lock(&contended);
		wait_done(w, "futex mutex", &begin);
		pthread_mutex_unlock(&contended);
		sleep_measured(w, 3 * NS_PER_MS);
	}
}

static NOINLINE void rwlock_loop(struct worker *w, pthread_rwlock_t *lock, bool write,
				 int64_t held_ns, int64_t free_ns)
{
	while (time_left(w)) {
		struct moment begin = moment_begin(w);

		if (write)
			pthread_rwlock_wrlock(lock);
		else
			pthread_rwlock_rdlock(lock);
		wait_done(w, write ? "futex rwlock-wr" : "futex rwlock-rd", &begin);
		if (held_ns)
			sleep_measured(w, held_ns);
		pthread_rwlock_unlock(lock);
		sleep_measured(w, free_ns);
	}
}

static NOINLINE void run_rd_holder(struct worker *w)
{
	rwlock_loop(w, &write_held, true, 15 * NS_PER_MS, 6 * NS_PER_MS);
}

static NOINLINE void run_rwlock_rd(struct worker *w)
{
	rwlock_loop(w, &write_held, false, 0, 3 * NS_PER_MS);
}

static NOINLINE void run_wr_holder(struct worker *w)
{
	rwlock_loop(w, &read_held, false, 15 * NS_PER_MS, 6 * NS_PER_MS);
}

static NOINLINE void run_rwlock_wr(struct worker *w)
{
	rwlock_loop(w, &read_held, true, 0, 3 * NS_PER_MS);
}

/* Both sides of the barrier make the same number of rounds, so that neither is left behind. */
static int64_t barrier_rounds(void)
{
	return duration_ns / (20 * NS_PER_MS);
}

static NOINLINE void barrier_loop(struct worker *w, int64_t late_ns)
{
	for (int64_t i = barrier_rounds(); i > 0; i--) {
		struct moment begin;

		if (late_ns)
			sleep_measured(w, late_ns);
		begin = moment_begin(w);
		pthread_barrier_wait(&barrier);
		wait_done(w, "futex barrier", &begin);
	}
}

static NOINLINE void run_barrier(struct worker *w)
{
	barrier_loop(w, 0);
}

static NOINLINE void run_latecomer(struct worker *w)
{
	barrier_loop(w, 18 * NS_PER_MS);
}

static void *child_main(void *arg)
{
	(void)arg;
	sleep_ns(30 * NS_PER_MS);
	return NULL;
}

static NOINLINE void run_joiner(struct worker *w)
{
	while (time_left(w)) {
		pthread_t child;
		struct moment begin;

		if (pthread_create(&child, NULL, child_main, NULL))
			die("pthread_create");
		begin = moment_begin(w);
		pthread_join(child, NULL);
		wait_done(w, "futex join", &begin);
	}
}

static NOINLINE void run_syncer(struct worker *w)
{
	static char block[64 * 1024];
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/foldd-waits-%d", disk_dir, getpid());
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path);
	unlink(path);
	while (time_left(w)) {
		struct moment begin = moment_begin(w);

		if (pwrite(fd, block, sizeof(block), 0) != (ssize_t)sizeof(block))
			die("pwrite");
		wait_done(w, "disk write", &begin);
		begin = moment_begin(w);
		if (fsync(fd))
			die("fsync");
		wait_done(w, "disk fsync", &begin);
		sleep_measured(w, 20 * NS_PER_MS);
	}
	close(fd);
}

/* What burns begins when the waiting has ended, so that neither disturbs the other. */
static void await_quiet(struct worker *w)
{
	while (time_left(w))
		sleep_measured(w, w->stop_ns - now_ns());
	sleep_measured(w, 20 * NS_PER_MS);
}

static NOINLINE void run_burner(struct worker *w)
{
	await_quiet(w);
	burn(w, duration_ns / 4, 0);
}

/* Two of these share one CPU: each is preempted by the other, for about half of the time. */
static NOINLINE void run_rival(struct worker *w)
{
	cpu_set_t one, all;

	await_quiet(w);
	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&one);
	CPU_SET(first_cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
	burn(w, 0, duration_ns / 4);
	sched_setaffinity(0, sizeof(all), &all);
}

static struct worker workers[] = {
	{ .name = "sleeper", .run = run_sleeper },
	{ .name = "feeder", .run = run_feeder },
	{ .name = "piper", .run = run_piper },
	{ .name = "condvar", .run = run_condvar },
	{ .name = "semaphore", .run = run_semaphore },
	{ .name = "poller", .run = run_poller },
	{ .name = "holder", .run = run_holder },
	{ .name = "mutex", .run = run_mutex },
	{ .name = "rd-holder", .run = run_rd_holder },
	{ .name = "rwlock-rd", .run = run_rwlock_rd },
	{ .name = "wr-holder", .run = run_wr_holder },
	{ .name = "rwlock-wr", .run = run_rwlock_wr },
	{ .name = "barrier", .run = run_barrier },
	{ .name = "latecomer", .run = run_latecomer },
	{ .name = "joiner", .run = run_joiner },
	{ .name = "syncer", .run = run_syncer },
	{ .name = "burner", .run = run_burner },
	{ .name = "rival-a", .run = run_rival },
	{ .name = "rival-b", .run = run_rival },
};

#define N_WORKERS ((int)(sizeof(workers) / sizeof(workers[0])))

int main(int argc, char **argv)
{
	cpu_set_t cpus;

	duration_ns = number_argument(argc, argv, 1, 4, 60) * NS_PER_S;
	if (argc > 2)
		disk_dir = argv[2];
	sched_getaffinity(0, sizeof(cpus), &cpus);
	while (first_cpu < CPU_SETSIZE - 1 && !CPU_ISSET(first_cpu, &cpus))
		first_cpu++;
	if (pipe2(fed_pipe, O_CLOEXEC) || pipe2(idle_pipe, O_CLOEXEC))
		die("pipe");
	sem_init(&sem, 0, 0);
	pthread_barrier_init(&barrier, NULL, 2);

	workers_start(workers, N_WORKERS);
	print_workers("ready", workers, N_WORKERS);
	await_test();
	workers_go(workers, N_WORKERS, duration_ns);
	workers_done(N_WORKERS);
	print_workers("done", workers, N_WORKERS);
	await_test();
	workers_end(workers, N_WORKERS);
	return 0;
}
