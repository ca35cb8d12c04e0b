/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "links.h"

_Static_assert(sizeof(struct key) == 56, "struct key has padding");

void links_release(struct links *l)
{
	free(l->all);
	table_release(&l->index);
	*l = (struct links){ 0 };
}

static bool equal(const void *owner, uint32_t i, const void *key)
{
	return !memcmp(&((const struct links *)owner)->all[i].key, key, sizeof(struct key));
}

static uint32_t find(const struct links *l, const struct key *k)
{
	return table_find(&l->index, table_hash(k, sizeof(*k)), k, equal, l);
}

const struct link *links_find(const struct links *l, const struct key *k)
{
	uint32_t i = find(l, k);

	return i == TABLE_NONE ? NULL : &l->all[i];
}

int links_set(struct links *l, const struct key *k, uint32_t object)
{
	uint32_t i = find(l, k);
	int err;

	if (i != TABLE_NONE) {
		l->all[i].object = object;
		return 0;
	}
	if (l->count == LINKS_MAX)
		return -ENOSPC;
	if (l->count == l->allocated) {
		uint32_t want = l->allocated ? l->allocated * 2 : 256;
		struct link *all = realloc(l->all, want * sizeof(*all));

		if (!all)
			return -ENOMEM;
		l->all = all;
		l->allocated = want;
	}
	err = table_insert(&l->index, table_hash(k, sizeof(*k)), l->count);
	if (err)
		return err;
	l->all[l->count++] = (struct link){ .key = *k, .object = object };
	return 0;
}
