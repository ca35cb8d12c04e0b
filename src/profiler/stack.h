/* SPDX-License-Identifier: BSD-2-Clause */
/* From a record to a stack in the fold: which frames, in which order, and how much they weigh. */
#ifndef FOLDD_STACK_H
#define FOLDD_STACK_H

#include <foldd/record.h>
#include "fold/fold.h"
#include "process/processes.h"

struct stack_options {
	bool threads;   /* a frame for the thread under the process's name */
	bool no_kernel; /* leave kernel frames out */
};

/* Counted while records are folded. */
struct stack_counts {
	uint64_t walk_ends[FOLDD_WALK_END_MAX];
	uint64_t by_frame_pointer; /* walks with at least one such step */
	struct foldd_loss_count remapped, stacks_full;
	uint64_t totals_full; /* rows of exact totals beyond their quota; the sums have them */
};

/*
 * Fold one record. proc is the instance that it belongs to, with its mappings as they were at the
 * time of the record; NULL for kernel threads and where the process table is full.
 */
void stack_fold(struct fold *f, const struct stack_options *o, struct stack_counts *counts,
		const struct foldd_record *r, struct process *proc);

#endif
