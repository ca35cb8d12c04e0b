/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include "cfi_parts.h"

#define PAGE_MASK ((1U << CFI_PAGE_SHIFT) - 1)
#define NO_ROW    UINT64_MAX

static uint64_t rule_key(const struct cfi_rule *rule)
{
	uint64_t key;

	memcpy(&key, rule, sizeof(key));
	return key;
}

static int fail(struct cfi_rows *r, int err)
{
	if (!r->err)
		r->err = err;
	return r->err;
}

/* The number of a rule, or 0 with the error set. */
static uint32_t rule_id(struct cfi_rows *r, uint64_t key)
{
	size_t slot = (key * 0x9e3779b97f4a7c15ULL) >> 32 & (CFI_RULE_CACHE - 1);
	struct cfi_rule rule;
	int id;

	if (r->cache[slot].id >= 0 && r->cache[slot].key == key)
		return (uint32_t)r->cache[slot].id;
	memcpy(&rule, &key, sizeof(rule));
	id = r->sink->rule(r->sink->ctx, &rule);
	if (id < 0 || id >= CFI_RULES_MAX) {
		fail(r, id < 0 ? id : -ERANGE);
		return 0;
	}
	r->cache[slot].key = key;
	r->cache[slot].id = id;
	return (uint32_t)id;
}

void cfi_rows_init(struct cfi_rows *r, const struct cfi_sink *sink)
{
	r->sink = sink;
	r->bias = 0;
	r->err = 0;
	r->count = 0;
	r->pending = NO_ROW;
	r->pending_key = r->last_key = rule_key(&cfi_none);
	r->page = 0;
	r->n = 0;
	for (size_t i = 0; i < CFI_RULE_CACHE; i++)
		r->cache[i].id = -1;
}

static void hand_over(struct cfi_rows *r)
{
	int err;

	if (!r->n || r->err)
		return;
	r->count += r->n;
	if (r->count > CFI_ROWS_MAX) {
		fail(r, -E2BIG);
		return;
	}
	err = r->sink->page(r->sink->ctx, (uint32_t)r->page, r->buffer, r->n);
	if (err < 0)
		fail(r, err);
	r->n = 0;
}

/* End the present page and those behind it that have no row of their own; begin the wanted one. */
static void turn_page(struct cfi_rows *r, uint64_t page)
{
	bool code = r->last_key != rule_key(&cfi_none);

	hand_over(r);
	for (r->page++; code && r->page < page && !r->err; r->page++) {
		r->buffer[0] = rule_id(r, r->last_key);
		r->n = 1;
		hand_over(r);
	}
	r->page = page;
}

/* The pending row cannot be replaced any more. */
static void flush(struct cfi_rows *r)
{
	uint32_t low = (uint32_t)r->pending & PAGE_MASK;

	if (r->pending == NO_ROW || r->pending_key == r->last_key || r->err)
		return;
	if (r->pending >> CFI_PAGE_SHIFT != r->page)
		turn_page(r, r->pending >> CFI_PAGE_SHIFT);
	if (!r->n && low)
		r->buffer[r->n++] = rule_id(r, r->last_key);
	if (r->n < CFI_PAGE_ROWS_MAX)
		r->buffer[r->n++] = low << 16 | rule_id(r, r->pending_key);
	else /* a row for every byte: no room for the last one */
		r->buffer[r->n - 1] = (low - 1) << 16 | rule_id(r, rule_key(&cfi_unsupported));
	r->last_key = r->pending_key;
}

void cfi_rows_add(struct cfi_rows *r, uint64_t vaddr, const struct cfi_rule *rule)
{
	uint64_t offset = vaddr - r->bias, key = rule_key(rule);

	if (key == r->pending_key)
		return;
	if (offset != r->pending) {
		flush(r);
		r->pending = offset;
	}
	r->pending_key = key;
}

int cfi_rows_finish(struct cfi_rows *r)
{
	flush(r);
	hand_over(r);
	return r->err;
}
