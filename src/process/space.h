/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The executable mappings of one process: sorted by start, never overlapping. What is newer cuts
 * or replaces what it overlaps, since the mapping feed does not tell of munmap. Pure.
 */
#ifndef FOLDD_SPACE_H
#define FOLDD_SPACE_H

#include "processes.h"

struct space {
	struct mapping *mappings;
	size_t count, allocated;
};

void space_release(struct space *s);
void space_clear(struct space *s); /* keeps nothing, frees */
/*
 * 1: added, 0: it was there already, -ENOSPC: more than limit mappings, -ENOMEM. *ret_replaced
 * is set where something else was at an address of m. Neighbours that continue each other (same
 * object, same bias) become one mapping.
 */
int space_add(struct space *s, const struct mapping *m, size_t limit,
	      bool *ret_replaced) __must_check;
int space_copy(struct space *to, const struct space *from) __must_check; /* to is empty */
/*
 * Make s what was found by another look, taking over its memory. True where s changed;
 * *ret_replaced is set where an address means something else now.
 */
bool space_update(struct space *s, struct space *found, bool *ret_replaced);
const struct mapping *space_find(const struct mapping *mappings, size_t count, uint64_t address);

#endif
