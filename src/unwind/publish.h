/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Publishing what a walk needs of each process to the kernel side: its sorted executable mappings
 * go to a run in the pool, then one hash update makes the walks see them. Processes with equal
 * mappings (a server and its forked workers) share a run. A run that nobody refers to is used
 * again only after a grace period, since a walk on another CPU may still be reading it.
 */
#ifndef FOLDD_PUBLISH_H
#define FOLDD_PUBLISH_H

#include "process/processes.h"

struct publisher;

/* pool: FOLDD_POOL_MAPPINGS entries; procs_fd: the "procs" hash. Both borrowed. */
int publisher_new(struct foldd_mapping *pool, int procs_fd, struct publisher **ret) __must_check;
struct publisher *publisher_free(struct publisher *p);
DEFINE_CLEANUP(struct publisher *, publisher_free)

/*
 * Publish the process as it is now. as_of_ns (CLOCK_MONOTONIC): all mappings made before it are
 * in. Clears proc->dirty. -ENOSPC when the pool is full: walks of the process then give raw
 * addresses. now_ns: for the grace periods.
 */
int publisher_update(struct publisher *p, struct process *proc, uint64_t as_of_ns,
		     uint64_t now_ns) __must_check;
/* The process is gone (or forgotten): withdraw it. */
void publisher_drop(struct publisher *p, struct process *proc, uint64_t now_ns);

uint64_t publisher_refused(const struct publisher *p); /* -ENOSPC so far */

#endif
