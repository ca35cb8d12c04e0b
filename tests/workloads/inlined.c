// SPDX-License-Identifier: BSD-2-Clause
/*
 * A thread that sleeps in a function that was inlined into one that was inlined into a third:
 * outer() calls nanosleep() as the machine sees it. Beside it a sleep without any inlining.
 */
#include "workload.h"

#define INLINE static inline __attribute__((always_inline))

INLINE void inner_two(long ms)
{
	struct timespec ts = { .tv_nsec = ms * NS_PER_MS };

	nanosleep(&ts, NULL);
	KEEP_FRAME();
}

INLINE void inner_one(long ms)
{
	inner_two(ms);
	KEEP_FRAME();
}

static NOINLINE void outer(long ms)
{
	inner_one(ms);
	KEEP_FRAME();
}

static NOINLINE void plain(long ms)
{
	struct timespec ts = { .tv_nsec = ms * NS_PER_MS };

	nanosleep(&ts, NULL);
	KEEP_FRAME();
}

int main(int argc, char **argv)
{
	int64_t stop = now_ns() + number_argument(argc, argv, 1, 3, 100) * NS_PER_S;

	printf("{\"event\":\"ready\",\"pid\":%d}\n", getpid());
	fflush(stdout);
	while (now_ns() < stop) {
		outer(5);
		plain(5);
	}
	return 0;
}
