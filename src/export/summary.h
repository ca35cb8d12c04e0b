/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * summary.json: what was recorded, how much of it is attributed, what was lost, what it cost.
 * Its sums are in nanoseconds, unit "ns", since they are exact; the folded files beside it count
 * whole microseconds. A number that was not measured (NaN) is null.
 */
#ifndef FOLDD_SUMMARY_H
#define FOLDD_SUMMARY_H

#include <foldd/record.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include "base/buf.h"

struct summary_kind {
	bool present;
	const char *unit;  /* "ns": of the sums and of period and max_period */
	double total;      /* exact */
	double attributed; /* sum of the weights */
	double lost;       /* weight of what was lost */
	double error;      /* standard error of attributed; 0 where every event is taken */
	uint64_t samples;
	uint64_t period;     /* base T in ns (offcpu), sampling interval in ns (cpu) */
	uint64_t max_period; /* highest T in force */
};

/* Exact totals of one process (or thread) by reason. */
struct summary_process {
	uint32_t pid;
	uint32_t tid; /* 0 for a process */
	char comm[FOLDD_COMM_LEN];
	uint64_t ns[FOLDD_REASON_MAX];
	uint64_t count[FOLDD_REASON_MAX];
};

/* A file that is not read, for what it is or since it got the better of the parser. */
struct summary_file {
	const char *path;
	const char *why;
};

#define SUMMARY_FILES_MAX 64

struct summary {
	const char *version;
	struct timespec start; /* CLOCK_REALTIME */
	double duration_s;
	const char *target; /* as the person gave it */
	const char *host;
	const char *kernel; /* release */
	struct summary_kind kinds[FOLDD_KIND_MAX];
	struct foldd_loss_count losses[FOLDD_LOSS_MAX];
	uint64_t walk_ends[FOLDD_WALK_END_MAX];
	uint64_t walks_by_frame_pointer; /* with at least one step by it */
	struct {
		uint64_t objects, rows, rules, pages, bytes; /* in use at the end */
		uint64_t evicted, refused;                   /* tables */
	} tables;
	struct summary_file refused_files[SUMMARY_FILES_MAX];
	size_t n_refused_files;
	double named_share; /* of the weight of user stacks, leaf named; NaN: no user stacks */
	double cost_cpu_s;
	uint64_t cost_max_rss_bytes, cost_bpf_map_bytes;
	double cost_bpf_run_s; /* NaN: not measured */
	const struct summary_process *processes;
	size_t n_processes;
	const struct summary_process *threads; /* with --threads */
	size_t n_threads;
};

double summary_coverage(const struct summary_kind *k); /* attributed / total; 1 where total is 0 */
/* lost / (attributed + lost), in percent, the worst of the kinds. */
double summary_loss_percent(const struct summary *s);
uint64_t summary_losses(const struct summary *s);   /* count over all reasons */
const char *foldd_reason_name(unsigned int reason); /* "futex mutex"; NULL past the list */
const char *foldd_kind_name(unsigned int kind);

/* The JSON text. 0, or -ENOMEM / -EMSGSIZE. */
int summary_write(const struct summary *s, struct buf *out);
/* The verdict: one line without its end. */
int summary_verdict(const struct summary *s, struct buf *out);

#endif
