/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * deep DEPTH WAITS: a stack of DEPTH functions of our own, below which it waits WAITS times for a
 * timer of 50 us. For the cost of a walk by its depth.
 */
#include "workload.h"
#include <stdlib.h>
#include <time.h>

#define DEPTH_MAX 200
#define WAITS_MAX 1000000

static NOINLINE int wait_here(long waits)
{
	struct timespec wait = { .tv_nsec = 50000 };
	int n = 0;

	for (long i = 0; i < waits; i++)
		n += nanosleep(&wait, NULL);
	return n;
}

static NOINLINE int descend(long depth, long waits)
{
	volatile int here = depth > 1 ? 0 : 1; /* not a tail call, and a frame of its own */

	return (depth > 1 ? descend(depth - 1, waits) : wait_here(waits)) + here;
}

int main(int argc, char **argv)
{
	long depth = argc == 3 ? strtol(argv[1], NULL, 10) : 0;
	long waits = argc == 3 ? strtol(argv[2], NULL, 10) : 0;

	if (depth < 1 || depth > DEPTH_MAX || waits < 1 || waits > WAITS_MAX) {
		(void)fprintf(stderr, "usage: deep DEPTH WAITS\n");
		return 2;
	}
	return descend(depth, waits) > DEPTH_MAX;
}
