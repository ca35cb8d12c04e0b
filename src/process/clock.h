/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef FOLDD_PROCESS_CLOCK_H
#define FOLDD_PROCESS_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

#endif
