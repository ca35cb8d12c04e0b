// SPDX-License-Identifier: BSD-2-Clause
/* A library without symbols of its own code (it is stripped): its frames show its file's name. */
#include <time.h>

void sleeplib_sleep(long ms, int times);

static __attribute__((noinline)) void anonymous_sleep(long ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
	__asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) void anonymous_loop(long ms, int times)
{
	for (; times > 0; times--)
		anonymous_sleep(ms);
	__asm__ volatile("" ::: "memory");
}

void sleeplib_sleep(long ms, int times)
{
	anonymous_loop(ms, times);
	__asm__ volatile("" ::: "memory");
}
