/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One recording: owns the probes, the mapping feed, the process table and the fold, and puts
 * them together. The verbs of the command line and the daemon drive it.
 *
 * profiler_new -> profiler_attach -> profiler_poll ... -> profiler_stop -> results -> free
 */
#ifndef FOLDD_PROFILER_H
#define FOLDD_PROFILER_H

#include "base/err.h"
#include "export/export.h"
#include "export/summary.h"

#define PROFILER_TARGETS_MAX 1024 /* pids of one -p */

enum target_type { TARGET_ALL, TARGET_PIDS, TARGET_CGROUP, TARGET_COMMAND };

struct profiler_options {
	enum target_type target;
	pid_t pids[PROFILER_TARGETS_MAX]; /* PIDS; COMMAND: the one child, held before its exec */
	size_t n_pids;
	const char *cgroup; /* CGROUP: path in the cgroup2 hierarchy, absolute or below its root */
	const char *target_text; /* for summary.json */
	unsigned int kinds;      /* 1 << enum foldd_kind */
	uint64_t period_ns;
	uint64_t max_rate; /* samples a second */
	bool threads;      /* thread frames, and totals by thread */
	bool no_kernel;    /* no kernel frames */
	bool inlines;      /* inlined functions as frames */
};

#define PROFILER_PERIOD_NS 1000000ULL
#define PROFILER_MAX_RATE  20000

struct profiler;

/* What the progress line shows. */
struct profiler_progress {
	double elapsed_s;
	uint64_t samples, losses;
	double cpu_s;      /* own */
	bool targets_gone; /* PIDS, COMMAND: every target has exited */
};

/* Each returns 0, or -1 with *e filled (exit status, what and why, what to do). */
int profiler_new(const struct profiler_options *o, struct profiler **ret, struct err *e);
int profiler_attach(struct profiler *p, struct err *e); /* the window starts */
/* Descriptor that becomes readable (epoll) when profiler_poll should be called early. */
int profiler_fd(const struct profiler *p);
#define PROFILER_POLL_MS 50 /* and call it at least this often */
int profiler_poll(struct profiler *p, struct err *e);
void profiler_progress(const struct profiler *p, struct profiler_progress *ret);
/* The window ends: takes what is still open, drains, detaches everything. */
int profiler_stop(struct profiler *p, struct err *e);
/* After stop. export_* need both; the summary borrows from the profiler. */
const struct fold *profiler_fold(const struct profiler *p);
struct names *profiler_names(struct profiler *p);
int profiler_summary(struct profiler *p, struct summary *ret, struct err *e);
struct profiler *profiler_free(struct profiler *p);
DEFINE_CLEANUP(struct profiler *, profiler_free)

#endif
