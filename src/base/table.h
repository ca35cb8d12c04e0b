/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An open-addressing hash index: from a key that the owner stores elsewhere to a 32-bit number
 * (normally an index into the owner's array). It holds hash and number only; the owner compares.
 */
#ifndef FOLDD_TABLE_H
#define FOLDD_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cleanup.h"

#define TABLE_NONE UINT32_MAX

struct table_slot {
	uint32_t hash;
	uint32_t value;
};

struct table {
	struct table_slot *slots;
	uint32_t mask;
	uint32_t used; /* live entries and tombstones */
	uint32_t count;
};

/* True where the entry with this value has the wanted key. */
typedef bool (*table_equal_fn)(const void *owner, uint32_t value, const void *key);

void table_release(struct table *t);

/* The value stored under key, or TABLE_NONE. */
uint32_t table_find(const struct table *t, uint32_t hash, const void *key, table_equal_fn equal,
		    const void *owner);
/* Adds without looking for an equal key: find first. 0 or -ENOMEM. */
int table_insert(struct table *t, uint32_t hash, uint32_t value) __must_check;
/* Removes the entry with exactly this hash and value; no entry is no error. */
void table_remove(struct table *t, uint32_t hash, uint32_t value);

/* XXH3 of len bytes, folded to 32 bits. */
uint32_t table_hash(const void *data, size_t len);

#endif
