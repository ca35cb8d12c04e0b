// SPDX-License-Identifier: BSD-2-Clause
/*
 * churn [THREADS]: creates and joins THREADS threads one after the other while two survivors
 * sleep in a known pattern. Same protocol on stdin and stdout as waits.
 */
#include "workload.h"

static bool churning = true;
static long n_threads;
static long n_made;

static NOINLINE void survive(struct worker *w, int64_t ns)
{
	while (__atomic_load_n(&churning, __ATOMIC_ACQUIRE))
		sleep_measured(w, ns);
}

static NOINLINE void run_slow(struct worker *w)
{
	survive(w, 50 * NS_PER_MS);
}

static NOINLINE void run_fast(struct worker *w)
{
	survive(w, 5 * NS_PER_MS);
}

static void *short_life(void *arg)
{
	return arg;
}

static NOINLINE void run_churn(struct worker *w)
{
	pthread_attr_t attr;

	(void)w;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	for (n_made = 0; n_made < n_threads; n_made++) {
		pthread_t t;

		if (pthread_create(&t, &attr, short_life, NULL))
			die("pthread_create");
		pthread_join(t, NULL);
	}
	__atomic_store_n(&churning, false, __ATOMIC_RELEASE);
}

static struct worker workers[] = {
	{ .name = "slow", .run = run_slow },
	{ .name = "fast", .run = run_fast },
	{ .name = "churner", .run = run_churn },
};

#define N_WORKERS ((int)(sizeof(workers) / sizeof(workers[0])))

int main(int argc, char **argv)
{
	n_threads = number_argument(argc, argv, 1, 100000, 10000000);
	workers_start(workers, N_WORKERS);
	print_workers("ready", workers, N_WORKERS);
	await_test();
	workers_go(workers, N_WORKERS, 0);
	workers_done(N_WORKERS);
	print_workers("done", workers, N_WORKERS);
	await_test();
	workers_end(workers, N_WORKERS);
	return n_made == n_threads ? 0 : 1;
}
