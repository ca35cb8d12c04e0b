/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who has which part of an array that the kernel side reads: first fit, neighbours joined again
 * when they are free. What was freed is given out again only after a grace period, since a walk
 * on another CPU may still be reading it.
 */
#ifndef FOLDD_EXTENTS_H
#define FOLDD_EXTENTS_H

#include <stdint.h>
#include "base/cleanup.h"

#define EXTENTS_GRACE_NS 1000000000ULL
#define EXTENTS_NONE     UINT32_MAX

struct extents;

int extents_new(uint32_t size, struct extents **ret) __must_check;
struct extents *extents_free(struct extents *e);
DEFINE_CLEANUP(struct extents *, extents_free)

/* First of count (at least 1) entries, or EXTENTS_NONE where there is no such run (or no memory).
 */
uint32_t extents_take(struct extents *e, uint32_t count, uint64_t now_ns);
/* Give back what extents_take returned. now_ns starts its grace period. */
void extents_give(struct extents *e, uint32_t first, uint64_t now_ns);
uint32_t extents_used(const struct extents *e); /* entries, those in their grace period excluded */

#endif
