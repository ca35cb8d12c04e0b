/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The storage under the process table: instances by pid and by serial, their exits, quotas and
 * end. What events mean is in processes.c. Private to this folder.
 */
#ifndef FOLDD_INSTANCES_H
#define FOLDD_INSTANCES_H

#include "base/table.h"
#include "procfs.h"
#include "space.h"

#define THREADS_UNKNOWN (-1)

struct instance {
	struct process pub; /* first: struct process * and struct instance * convert */
	struct processes *owner;
	struct space space;               /* pub.mappings shows it */
	struct instance *older;           /* with the same pid */
	struct instance *previous, *next; /* in the list of exited or kept ones */
	uint32_t slot;
	uint64_t as_of_ns; /* read from /proc then: earlier events are known; 0: never */
	uint64_t born_ns;  /* of its fork event; 0: not seen */
	uint64_t start_ticks;
	bool has_ticks;
	uint32_t n_objects; /* that were added to the registry for it, or for those that it is of */
	int threads;        /* alive, or THREADS_UNKNOWN */
	bool leader_gone;
	bool seen; /* by the present pass over /proc */
	uint64_t exited_ns;
	bool kept, in_kept_list;
	bool has_status; /* pub.ns_pid and euid are known */
	uid_t euid;
	int map_fd; /* perf-PID.map, or -1 */
	uint64_t map_tried_ns;
};

struct instance_list {
	struct instance *first, *last;
};

struct processes {
	struct objects *objects;
	struct instance *slots[PROCESSES_MAX];
	uint32_t free_slots[PROCESSES_MAX];
	uint32_t n_free, n_slots; /* slots below n_slots have been used */
	struct table by_pid;      /* the newest instance */
	struct table by_serial;
	uint32_t last_serial;
	struct instance_list exited, kept;
	size_t count, n_kept, n_leaving, n_mappings, n_map_fds;
	bool (*want)(void *ctx, pid_t pid);
	void *want_ctx;
	uint8_t *unwanted; /* a bit for each pid that the filter has refused */
	void (*forget)(void *ctx, struct process *proc);
	void *forget_ctx;
	uint64_t swept_ns, rescanned_ns;
	bool must_rescan;
	uint64_t refused, mappings_refused, kept_forgotten, feed_lost;
};

static inline struct instance *instance_of(struct process *proc)
{
	return (struct instance *)proc;
}

/* The newest instance, exited or not; NULL: none. */
struct instance *instances_newest(const struct processes *p, pid_t pid);
struct instance *instances_by_serial(const struct processes *p, uint32_t serial);
/* A new one, the newest of its pid unless as_older. NULL (counted) where the quota is reached. */
struct instance *instances_add(struct processes *p, pid_t pid, bool as_older);
/* The main thread has exited, while others may live. */
void instances_set_leader_gone(struct processes *p, struct instance *i, bool gone);
void instances_retire(struct processes *p, struct instance *i, uint64_t ns); /* it has exited */
void instances_forget(struct processes *p, struct instance *i);
/* Forget what exited long enough before ns. */
void instances_sweep(struct processes *p, uint64_t ns);

/* The number of mappings that an instance may have now: less when the table is full of them. */
size_t instances_mappings_limit(const struct processes *p);
/* After a change of i->space, which had `before` mappings. */
void instances_mapped(struct processes *p, struct instance *i, size_t before);

#endif
