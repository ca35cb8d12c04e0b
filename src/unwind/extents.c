/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdbool.h>
#include "extents.h"

/* The extents tile the array in order; slots of the array below are linked by next. */
struct extent {
	uint32_t first, count;
	uint32_t next;    /* the one behind it, or the next unused slot */
	uint64_t free_ns; /* when it was given back; 0: never taken */
	bool taken;
};

struct extents {
	struct extent *all;
	uint32_t n, allocated;
	uint32_t unused; /* head of the list of unused slots */
	uint32_t used;
};

int extents_new(uint32_t size, struct extents **ret)
{
	struct extents *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->all = calloc(1, sizeof(*e->all));
	if (!e->all) {
		free(e);
		return -ENOMEM;
	}
	e->n = e->allocated = 1;
	e->unused = EXTENTS_NONE;
	e->all[0] = (struct extent){ .count = size, .next = EXTENTS_NONE };
	*ret = e;
	return 0;
}

struct extents *extents_free(struct extents *e)
{
	if (!e)
		return NULL;
	free(e->all);
	free(e);
	return NULL;
}

static bool is_free(const struct extent *x, uint64_t now)
{
	return !x->taken && (!x->free_ns || now - x->free_ns >= EXTENTS_GRACE_NS);
}

static uint32_t new_slot(struct extents *e)
{
	uint32_t slot = e->unused, more;
	struct extent *all;

	if (slot != EXTENTS_NONE) {
		e->unused = e->all[slot].next;
		return slot;
	}
	if (e->n == e->allocated) {
		more = e->allocated * 2;
		all = reallocarray(e->all, more, sizeof(*all));
		if (!all)
			return EXTENTS_NONE;
		e->all = all;
		e->allocated = more;
	}
	return e->n++;
}

/* Join what is free behind extent i to it. */
static void join(struct extents *e, uint32_t i, uint64_t now)
{
	uint32_t next;

	while ((next = e->all[i].next) != EXTENTS_NONE && is_free(&e->all[next], now)) {
		e->all[i].count += e->all[next].count;
		e->all[i].next = e->all[next].next;
		e->all[next].next = e->unused;
		e->unused = next;
	}
}

uint32_t extents_take(struct extents *e, uint32_t count, uint64_t now_ns)
{
	for (uint32_t i = 0; i != EXTENTS_NONE; i = e->all[i].next) {
		uint32_t rest;

		if (!is_free(&e->all[i], now_ns))
			continue;
		join(e, i, now_ns);
		if (e->all[i].count < count)
			continue;
		if (e->all[i].count > count) {
			rest = new_slot(e); /* may move the array */
			if (rest == EXTENTS_NONE)
				return EXTENTS_NONE;
			e->all[rest] = (struct extent){ .first = e->all[i].first + count,
							.count = e->all[i].count - count,
							.next = e->all[i].next };
			e->all[i].count = count;
			e->all[i].next = rest;
		}
		e->all[i].taken = true;
		e->used += count;
		return e->all[i].first;
	}
	return EXTENTS_NONE;
}

void extents_give(struct extents *e, uint32_t first, uint64_t now_ns)
{
	for (uint32_t i = 0; i != EXTENTS_NONE; i = e->all[i].next)
		if (e->all[i].first == first && e->all[i].taken) {
			e->all[i].taken = false;
			e->all[i].free_ns = now_ns ? now_ns : 1;
			e->used -= e->all[i].count;
			return;
		}
}

uint32_t extents_used(const struct extents *e)
{
	return e->used;
}
