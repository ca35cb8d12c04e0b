// SPDX-License-Identifier: BSD-2-Clause
/*
 * shortlived [MS [TIMES]]: sleeps TIMES times MS milliseconds at the end of a chain of functions
 * with frame pointers and symbols, and exits.
 */
#include "workload.h"

/* Straight from our own frame, so that a walk by frame pointers sees the whole chain. */
static NOINLINE void level_four(long ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NS_PER_MS };
#if defined(__x86_64__)
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(SYS_nanosleep), "D"(&ts), "S"(NULL)
			 : "rcx", "r11", "memory");
#else
	nanosleep(&ts, NULL);
#endif
	KEEP_FRAME();
}

static NOINLINE void level_three(long ms)
{
	level_four(ms);
	KEEP_FRAME();
}

static NOINLINE void level_two(long ms)
{
	level_three(ms);
	KEEP_FRAME();
}

static NOINLINE void level_one(long ms, long times)
{
	for (; times > 0; times--)
		level_two(ms);
	KEEP_FRAME();
}

int main(int argc, char **argv)
{
	long ms = number_argument(argc, argv, 1, 20, 10000);

	level_one(ms, number_argument(argc, argv, 2, 1, 100000));
	return 0;
}
