/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The plan: what this kernel and these privileges allow, found by trying and never by version.
 * `foldd doctor` prints the list; the profiler refuses to start where a required one is missing.
 */
#ifndef FOLDD_FEATURES_H
#define FOLDD_FEATURES_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

struct feature {
	const char *name;
	const char *wanted_by; /* what foldd does with it */
	bool required;         /* nothing works without it */
	bool available;
	int status; /* enum exit_status when it is required and missing */
	char why_not[160];
	char remedy[200];
};

/* Probe everything; returns a static table that lives as long as the program. */
const struct feature *features_probe(size_t *ret_count);
/* First required feature that is missing, as an error; 0 when there is none. */
int features_check(struct err *e);

/* Facts that the programs are configured with. */
bool features_switch_has_state(void); /* sched_switch passes prev_state: Linux 5.18, fa2c3254d7cf */
bool features_sleepable_iter(void);   /* iter.s/task and bpf_copy_from_user_task: Linux 5.18 */
bool features_find_vma(void);         /* bpf_find_vma: Linux 5.17 */
bool features_rdonly_cast(void);      /* kfunc bpf_rdonly_cast: Linux 6.2 */

#endif
