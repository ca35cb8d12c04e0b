/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding a cgroup in the cgroup2 hierarchy. */
#ifndef FOLDD_CGROUP_H
#define FOLDD_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

/*
 * Identity of the cgroup that the person named: a folder of the cgroup2 file system by absolute
 * path, or a path below its root. The level is its depth; 0 is the root.
 */
int cgroup_find(const char *name, uint64_t *ret_id, unsigned int *ret_level, struct err *e);

#endif
