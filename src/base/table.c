/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "table.h"

#define SLOT_EMPTY   UINT32_MAX
#define SLOT_DELETED (UINT32_MAX - 1)

void table_release(struct table *t)
{
	free(t->slots);
	*t = (struct table){ 0 };
}

uint32_t table_hash(const void *data, size_t len)
{
	XXH64_hash_t h = XXH3_64bits(data, len);

	return (uint32_t)(h ^ (h >> 32));
}

uint32_t table_find(const struct table *t, uint32_t hash, const void *key, table_equal_fn equal,
		    const void *owner)
{
	if (!t->slots)
		return TABLE_NONE;
	for (uint32_t i = hash & t->mask;; i = (i + 1) & t->mask) {
		const struct table_slot *s = &t->slots[i];

		if (s->value == SLOT_EMPTY)
			return TABLE_NONE;
		if (s->value != SLOT_DELETED && s->hash == hash && equal(owner, s->value, key))
			return s->value;
	}
}

static void put(struct table *t, uint32_t hash, uint32_t value)
{
	uint32_t i = hash & t->mask;

	while (t->slots[i].value != SLOT_EMPTY)
		i = (i + 1) & t->mask;
	t->slots[i] = (struct table_slot){ hash, value };
	t->used++;
	t->count++;
}

/* Rehash into a size for the live entries, which drops the tombstones too. */
static int resize(struct table *t)
{
	struct table old = *t;
	uint64_t size = 16;

	while (size < (uint64_t)old.count * 4)
		size *= 2;
	if (size > 1ULL << 31)
		return -ENOMEM;
	t->slots = malloc(size * sizeof(*t->slots));
	if (!t->slots) {
		t->slots = old.slots;
		return -ENOMEM;
	}
	for (uint64_t i = 0; i < size; i++)
		t->slots[i].value = SLOT_EMPTY;
	t->mask = (uint32_t)size - 1;
	t->used = t->count = 0;
	for (uint64_t i = 0; old.slots && i <= old.mask; i++)
		if (old.slots[i].value < SLOT_DELETED)
			put(t, old.slots[i].hash, old.slots[i].value);
	free(old.slots);
	return 0;
}

int table_insert(struct table *t, uint32_t hash, uint32_t value)
{
	int err;

	if (!t->slots || (uint64_t)(t->used + 1) * 4 > (uint64_t)(t->mask + 1) * 3) {
		err = resize(t);
		if (err)
			return err;
	}
	put(t, hash, value);
	return 0;
}

void table_remove(struct table *t, uint32_t hash, uint32_t value)
{
	if (!t->slots)
		return;
	for (uint32_t i = hash & t->mask; t->slots[i].value != SLOT_EMPTY; i = (i + 1) & t->mask)
		if (t->slots[i].value == value && t->slots[i].hash == hash) {
			t->slots[i].value = SLOT_DELETED;
			t->count--;
			return;
		}
}
