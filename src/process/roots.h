/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Root directories of processes, one descriptor for all that share a root and a mount namespace.
 * A root that no process uses any more stays for the debug files of what it held, until the
 * room is needed.
 */
#ifndef FOLDD_ROOTS_H
#define FOLDD_ROOTS_H

#include <stdint.h>
#include <sys/types.h>
#include "base/cleanup.h"

#define ROOTS_MAX 64 /* distinct roots in use at a time; further processes have none */

struct root {
	int fd; /* O_PATH, or -1: this place is free */
	uint64_t dev, ino, mount_ns;
	uint32_t users;
	uint64_t last_use;
};

struct roots {
	struct root all[ROOTS_MAX];
	uint64_t uses;
};

void roots_init(struct roots *r);
void roots_release(struct roots *r);
/*
 * The root of a live process, counted as one use; the descriptor is borrowed. -ESRCH and such,
 * -EMFILE where all places are in use. *ret_evicted: a descriptor that was closed for it, or -1.
 */
int roots_open(struct roots *r, pid_t pid, int *ret_evicted) __must_check;
void roots_use(struct roots *r, int fd); /* one use more; -1 is fine */
void roots_unuse(struct roots *r, int fd);

#endif
