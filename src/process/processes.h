/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process table: which process has which executable mappings, at the time that the events of
 * the feed have reached. Fed by /proc at the start and by the mapping feed from then on; exec,
 * fork, exit and reused pids included.
 */
#ifndef FOLDD_PROCESSES_H
#define FOLDD_PROCESSES_H

#include <foldd/unwind.h>
#include "objects.h"

#define PROCESSES_MAX        32768 /* live ones, and exited ones that JIT frames still refer to */
#define PROCESSES_KEPT_MAX   4096  /* of them: exited and kept; the oldest are forgotten first */
#define PROCESS_MAPPINGS_MAX FOLDD_PROC_MAPPINGS
#define PROCESS_OBJECTS_MAX  4096          /* new files in the registry, of one process */
#define PROCESSES_LINGER_NS  2000000000ULL /* how long an exited one stays for late samples */

struct mapping {
	uint64_t start, end;
	uint64_t bias;    /* file offset = address - bias; vdso: offset from its start */
	uint32_t object;  /* OBJECT_NONE: anonymous executable memory */
	uint64_t made_ns; /* when it appeared; 0: from /proc */
};

struct process {
	uint32_t serial; /* names this instance for ever: pids are reused, serials are not */
	pid_t pid;
	pid_t ns_pid; /* its pid in its own namespace, for perf-PID.map; 0: not known */
	uint64_t
		start_ns; /* start_boottime of the leader (struct foldd_record); 0: not known yet */
	char comm[16];
	bool exited;
	bool dirty; /* mappings changed since the owner of this flag (unwind/) cleared it */
	int rootfd; /* O_PATH of its root directory or -1 (shared by namespace; borrowed) */
	struct mapping *mappings; /* sorted by start, without overlap */
	size_t n_mappings;
	uint64_t remapped_ns; /* last time a mapping replaced another one; 0: never */
	void *user;           /* of unwind/: what it published for this process */
};

struct processes;

int processes_new(struct objects *objects, struct processes **ret) __must_check; /* borrows */
struct processes *processes_free(struct processes *p);
DEFINE_CLEANUP(struct processes *, processes_free)

/* Read one process, or all, from /proc. -ESRCH when it is gone, -EACCES without privilege. */
int processes_scan(struct processes *p, pid_t pid) __must_check;
int processes_scan_all(struct processes *p) __must_check;
/* Feed events must come in the order of their times. A LOST event rescans what is live. */
void processes_apply(struct processes *p, const struct feed_event *e);
/*
 * Only processes that pass the filter are kept (a NULL filter keeps all); asked once when
 * a process is first seen in /proc or in the feed.
 */
void processes_set_filter(struct processes *p, bool (*want)(void *ctx, pid_t pid), void *ctx);

/*
 * The instance that a sample with this pid and start time belongs to. One that is not known is
 * read from /proc (or made empty when it is gone). NULL only when the quota is reached.
 *
 * Pointers to instances live until the next scan, apply or at: each may forget an exited one to
 * make room. Several instances may have one pid: exited ones, and the older images of a process
 * that was kept and then called exec. At most one of them is not exited.
 */
struct process *processes_at(struct processes *p, pid_t pid, uint64_t start_ns);
struct process *processes_by_serial(struct processes *p, uint32_t serial); /* NULL: forgotten */
/* Call fn for each instance that is in the table: first those that have exited, then the live. */
void processes_each(struct processes *p, void (*fn)(void *ctx, struct process *proc), void *ctx);
/* Called before an instance is freed, so that the owner of ->user can let go of it. */
void processes_on_forget(struct processes *p, void (*fn)(void *ctx, struct process *proc),
			 void *ctx);
/* A JIT frame refers to it: keep the instance and its perf map after exit. */
void process_keep(struct process *proc);

/*
 * Its perf-PID.map, a regular file of the process's own user or root below its own root, not
 * older than the process; opened when the instance is kept, while that can be done. The
 * descriptor is borrowed. -ENOENT where there is none.
 */
int process_perf_map(struct process *proc);

/* The mapping that covers the address, or NULL. */
const struct mapping *process_find(const struct process *proc, uint64_t address);

size_t processes_count(const struct processes *p); /* in the table now */
uint64_t processes_refused(const struct processes *p);
uint64_t processes_mappings_refused(const struct processes *p);
uint64_t processes_kept_forgotten(const struct processes *p); /* JIT frames lost their names */
uint64_t processes_feed_lost(const struct processes *p);      /* records */

#endif
