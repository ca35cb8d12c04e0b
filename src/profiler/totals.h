/* SPDX-License-Identifier: BSD-2-Clause */
/* The exact totals of a window, by process and by thread, as the kernel side counted them. */
#ifndef FOLDD_TOTALS_H
#define FOLDD_TOTALS_H

#include "base/table.h"
#include "export/summary.h"

#define TOTALS_MAX    262144 /* processes, and threads likewise */
#define TOTALS_LISTED 4096   /* past these, exited processes are summed up by name, as pid 0 */

struct totals {
	struct summary_process *processes, *threads;
	uint64_t *starts; /* start time of each process */
	size_t n_processes, n_threads;
	size_t space_processes, space_threads;
	struct table by_process;
	uint64_t ns[FOLDD_REASON_MAX]; /* over all */
};

void totals_release(struct totals *t);
/* A live thread; its own entry too where threads is set. 0, -ENOMEM, or -ENOSPC past the quota
 * (the sum over all still has it). */
int totals_add_thread(struct totals *t, const struct foldd_thread_total *total, bool threads);
/*
 * What the exited threads of a process did. pid 0 sums up those that the map had no room for and,
 * by name, those past TOTALS_LISTED: processes that come and go must not make foldd grow.
 */
int totals_add_exited(struct totals *t, const struct foldd_exited_key *k,
		      const struct foldd_total *total);

#endif
