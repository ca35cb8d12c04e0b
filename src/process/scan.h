/* SPDX-License-Identifier: BSD-2-Clause */
/* Filling the process table from /proc. Private to this folder. */
#ifndef FOLDD_SCAN_H
#define FOLDD_SCAN_H

#include "instances.h"
#include "maps.h"

/* Whether the filter lets the process in; in processes.c. */
bool processes_wanted(struct processes *p, pid_t pid);

/* Make an instance what /proc says of its pid now. -ESRCH: gone, or another process than this. */
int scan_fill(struct processes *p, struct instance *i);
/* The same, if the process that has the pid now was started then. */
int scan_fill_as(struct processes *p, struct instance *i, uint64_t start_ns);
void scan_root(struct processes *p, struct instance *i);
void scan_add_mapping(struct processes *p, struct instance *i, const struct maps_line *line,
		      uint64_t made_ns);
bool scan_is_alive(const struct instance *i);
/* start_ns is in the tick that /proc/PID/stat tells, or in one beside it. */
bool scan_same_start(uint64_t ticks, uint64_t start_ns);

#endif
