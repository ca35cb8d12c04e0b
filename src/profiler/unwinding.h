/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keeping the kernel side's unwind tables in step with the files that processes map: built when a
 * file comes up, taken out when nobody has mapped it for long and room is short, built again when
 * somebody does.
 */
#ifndef FOLDD_UNWINDING_H
#define FOLDD_UNWINDING_H

#include "process/processes.h"
#include "unwind/tables.h"

struct unwinding;

/* Borrows all. */
int unwinding_new(const struct objects *objects, struct processes *processes,
		  struct unwind_tables *tables, struct unwinding **ret) __must_check;
struct unwinding *unwinding_free(struct unwinding *u);
DEFINE_CLEANUP(struct unwinding *, unwinding_free)
/* Build tables of files that have none yet, for as long as the budget lasts (at least one). */
void unwinding_build(struct unwinding *u, uint64_t budget_ns, uint64_t now_ns);
/* See which files are mapped now; evict what is not, where room is short. Once a second or so. */
void unwinding_sweep(struct unwinding *u, uint64_t now_ns);

#endif
