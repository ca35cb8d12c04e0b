/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel side of one recording: loading, attaching, the ring, the exact totals. Everything is
 * held by descriptors of this process, so nothing stays attached after it, however it ends.
 */
#ifndef FOLDD_PROBE_H
#define FOLDD_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <foldd/record.h>
#include "base/err.h"

#define PROBE_CPU_HZ 99 /* off the beat of timers that fire at round rates */

struct probe_config {
	enum { PROBE_ALL, PROBE_PIDS, PROBE_CGROUP } mode;
	const pid_t *pids; /* PIDS */
	size_t n_pids;
	pid_t worker;              /* foldd's own, which is not profiled either; 0: none */
	uint64_t cgroup_id;        /* CGROUP: inode number of the cgroup2 folder */
	unsigned int cgroup_level; /* 0: the root */
	unsigned int kinds;        /* 1 << enum foldd_kind */
	uint64_t period_ns;        /* T of the waits; at most FOLDD_PERIOD_MAX_NS */
	uint64_t max_rate;         /* samples a second before T rises */
};

struct probe;

/* Open and load; nothing runs yet. 0, or -1 with *e. */
int probe_new(const struct probe_config *c, struct probe **ret, struct err *e) __must_check;
struct probe *probe_free(struct probe *p); /* detaches */
DEFINE_CLEANUP(struct probe *, probe_free)

/* Attach the hooks and give every target thread its state; the window starts. */
int probe_attach(struct probe *p, struct err *e) __must_check;
/* CLOCK_MONOTONIC bounds of the window; the end is 0 while it is open. */
uint64_t probe_start_ns(const struct probe *p);
uint64_t probe_stop_ns(const struct probe *p);

/* Becomes readable when the ring fills up. */
int probe_fd(const struct probe *p);
/*
 * Call fn for each record in the ring. What it is passed is the record with its frames behind it,
 * already checked: it may rely on size, n_user and n_kernel, but on no other field.
 */
typedef void (*probe_record_fn)(void *ctx, const struct foldd_record *r, size_t size);
int probe_drain(struct probe *p, probe_record_fn fn, void *ctx);
/* The frames behind a record: n_user, then n_kernel. */
static inline const uint64_t *probe_frames(const struct foldd_record *r)
{
	return (const uint64_t *)(r + 1);
}

/*
 * End the window: the clocks stop, every thread's exact totals go to total_fn, waits that are
 * still open go through the ring to record_fn. Then the hooks are detached.
 */
typedef void (*probe_total_fn)(void *ctx, const struct foldd_thread_total *t);
int probe_stop(struct probe *p, probe_record_fn record_fn, probe_total_fn total_fn, void *ctx,
	       struct err *e) __must_check;
/*
 * Totals of the threads that have exited: those of processes that are gone for good, or all of
 * them (after stop). What fn was called for is taken out, so that the map stays small.
 */
typedef void (*probe_exited_fn)(void *ctx, const struct foldd_exited_key *k,
				const struct foldd_total *t);
int probe_sweep_exited(struct probe *p, bool all, probe_exited_fn fn, void *ctx) __must_check;

/* Losses on the kernel side and in decoding so far; ret has FOLDD_LOSS_MAX entries. */
void probe_losses(const struct probe *p, enum foldd_kind kind, struct foldd_loss_count *ret);
uint64_t probe_samples(const struct probe *p);
uint64_t probe_max_period_ns(const struct probe *p);
uint64_t probe_map_bytes(const struct probe *p); /* of all our maps, as the kernel accounts them */

/* For unwind/: the pool of mappings (writable), the hash of processes, the unwind tables. */
struct foldd_mapping *probe_pool(const struct probe *p);
int probe_procs_fd(const struct probe *p);
struct foldd_tables *probe_tables(const struct probe *p); /* unwind tables (writable) */
int probe_chunks_fd(const struct probe *p);
int probe_inodes_fd(const struct probe *p);

#endif
