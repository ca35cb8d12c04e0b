// SPDX-License-Identifier: BSD-2-Clause
/*
 * parked [SECONDS]: thread "parked" waits on a condition variable that nobody signals from the
 * start; thread "later" sleeps in steps of 20 ms and does the same after the first line on stdin.
 * Ends with the next line, the end of stdin, or after SECONDS.
 */
#include "workload.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static bool park_now;
static int64_t parked_at_ns;

static NOINLINE void wait_forever(void)
{
	pthread_mutex_lock(&mutex);
	for (;;)
		pthread_cond_wait(&never, &mutex);
}

static void *parked_main(void *arg)
{
	prctl(PR_SET_NAME, "parked");
	*(pid_t *)arg = (pid_t)syscall(SYS_gettid);
	wait_forever();
	return NULL;
}

static void *later_main(void *arg)
{
	prctl(PR_SET_NAME, "later");
	*(pid_t *)arg = (pid_t)syscall(SYS_gettid);
	while (!__atomic_load_n(&park_now, __ATOMIC_ACQUIRE))
		sleep_ns(20 * NS_PER_MS);
	__atomic_store_n(&parked_at_ns, now_ns(), __ATOMIC_RELEASE);
	wait_forever();
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t;
	volatile pid_t parked = 0, later = 0;

	alarm((unsigned int)number_argument(argc, argv, 1, 60, 600));
	if (pthread_create(&t, NULL, parked_main, (void *)&parked) ||
	    pthread_create(&t, NULL, later_main, (void *)&later))
		die("pthread_create");
	while (!parked || !later)
		sleep_ns(NS_PER_MS);
	sleep_ns(20 * NS_PER_MS);
	printf("{\"event\":\"ready\",\"pid\":%d,\"parked\":%d,\"later\":%d}\n", getpid(), parked,
	       later);
	fflush(stdout);
	await_test();
	__atomic_store_n(&park_now, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&parked_at_ns, __ATOMIC_ACQUIRE))
		sleep_ns(NS_PER_MS);
	printf("{\"event\":\"parked\",\"parked_at_ns\":%" PRId64 "}\n", parked_at_ns);
	fflush(stdout);
	await_test();
	return 0;
}
