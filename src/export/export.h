/* SPDX-License-Identifier: BSD-2-Clause */
/* Profiles as text: pure functions from a fold to a buffer, one file a format. */
#ifndef FOLDD_EXPORT_H
#define FOLDD_EXPORT_H

#include "base/buf.h"
#include "fold/fold.h"
#include "process/names.h"

#define EXPORT_BYTES_MAX (1ULL << 32) /* of one exported file */
#define EXPORT_LINE_MAX  65000        /* Go's bufio.Scanner gives up at 64 KiB */

/* What naming did, over the weight of the profile. */
struct export_names {
	double user_weight;    /* of stacks with at least one user frame */
	double unnamed_weight; /* of those whose user leaf frame has no symbol's name */
};

struct export_options {
	double unit_ns; /* divide weights by it: 1000 for microseconds */
	size_t top;     /* export_top: number of stacks */
};

/*
 * Folded stacks, sorted by LC_ALL=C, one line a distinct text; weights are summed in full
 * precision and rounded per line so that lines that round to 0 are left out. Grammar and
 * escaping: see export/escape.h. 0 or -errno of the buffer.
 */
int export_folded(const struct fold *f, enum fold_value value, struct names *names,
		  const struct export_options *o, struct buf *out, struct export_names *ret_names);
/*
 * The heaviest stacks for a terminal, leaf first, indented, with their share. Those of idle kernel
 * threads are left out and summed up in the last line.
 */
int export_top(const struct fold *f, enum fold_value value, struct names *names,
	       const struct export_options *o, struct buf *out);

#endif
