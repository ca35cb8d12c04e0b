/* SPDX-License-Identifier: BSD-2-Clause */
/* The files that are not read any more, and what it costs to find more of them. Client only. */
#ifndef FOLDD_SYMD_REFUSALS_H
#define FOLDD_SYMD_REFUSALS_H

#include "symd.h"

/* A file as it is now: one that is written to becomes another one. */
struct file_key {
	uint64_t dev, ino, size, mtime_ns;
};

struct refusals {
	struct file_key *keys;
	struct symd_refusal *files;
	size_t count, oldest, allocated;
	unsigned int stalls; /* recent; each halves the time of a request */
	uint64_t stall_ms;   /* when the last was, or was forgiven */
	unsigned int starts; /* of workers that were used up */
	uint64_t start_ms;   /* when one was given back */
};

/* Whatever is a regular file, from what the kernel knows of it without asking its server. */
int file_key_read(int fd, struct file_key *ret) __must_check;

void refusals_release(struct refusals *r);
bool refusals_has(const struct refusals *r, const struct file_key *k);
void refusals_add(struct refusals *r, const struct file_key *k, const char *path,
		  enum symd_reason reason);
const struct symd_refusal *refusals_get(const struct refusals *r, size_t i);

/* How long a request on a file of this size may take now; without stalls at least least_ms. */
unsigned int refusals_timeout_ms(struct refusals *r, uint64_t size, unsigned int least_ms,
				 uint64_t now_ms);
void refusals_stalled(struct refusals *r, uint64_t now_ms);
/* Whether one more worker may be started now; counts it. */
bool refusals_may_start(struct refusals *r, uint64_t now_ms);

#endif
