/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cfi.h"

#define ROWS_FIRST  4096
#define PAGES_FIRST 64
#define RULES_FIRST 64

static bool equal_rule(const void *owner, uint32_t value, const void *key)
{
	const struct cfi_table *t = owner;

	return !memcmp(&t->rules[value], key, sizeof(t->rules[value]));
}

/* Room for n items of an array; its limit bounds n. */
static int reserve(void **array, uint32_t *allocated, uint64_t n, uint32_t first, size_t size)
{
	uint32_t wanted = *allocated ? *allocated : first;
	void *p;

	if (n <= *allocated)
		return 0;
	while (wanted < n)
		wanted *= 2;
	p = realloc(*array, wanted * size);
	if (!p)
		return -ENOMEM;
	*array = p;
	*allocated = wanted;
	return 0;
}

static int add_rule(void *ctx, const struct cfi_rule *rule)
{
	struct cfi_table *t = ctx;
	uint32_t hash = table_hash(rule, sizeof(*rule));
	uint32_t id = table_find(&t->index, hash, rule, equal_rule, t);
	void *rules = t->rules;
	int err;

	if (id != TABLE_NONE)
		return (int)id;
	if (t->n_rules == CFI_RULES_MAX)
		return -ENOSPC;
	err = reserve(&rules, &t->rules_allocated, t->n_rules + 1ULL, RULES_FIRST,
		      sizeof(*t->rules));
	t->rules = rules;
	if (err)
		return err;
	err = table_insert(&t->index, hash, t->n_rules);
	if (err)
		return err;
	t->rules[t->n_rules] = *rule;
	return (int)t->n_rules++;
}

static int add_page(void *ctx, uint32_t page, const uint32_t *rows, uint32_t n)
{
	struct cfi_table *t = ctx;
	void *all = t->rows, *pages = t->pages;
	uint32_t i;
	int err;

	if (!t->n_pages)
		t->first_page = page;
	i = page - t->first_page;
	if (i < t->n_pages || i >= CFI_PAGES_MAX || t->n_rows + (uint64_t)n > CFI_ROWS_MAX)
		return -E2BIG;
	err = reserve(&all, &t->rows_allocated, t->n_rows + (uint64_t)n, ROWS_FIRST,
		      sizeof(*t->rows));
	t->rows = all;
	if (err)
		return err;
	err = reserve(&pages, &t->pages_allocated, i + 1ULL, PAGES_FIRST, sizeof(*t->pages));
	t->pages = pages;
	if (err)
		return err;
	while (t->n_pages < i)
		t->pages[t->n_pages++] = (struct cfi_page){ t->n_rows, 0 };
	t->pages[t->n_pages++] = (struct cfi_page){ t->n_rows, n };
	memcpy(t->rows + t->n_rows, rows, n * sizeof(*rows));
	t->n_rows += n;
	return 0;
}

int cfi_table_new(struct cfi_table **ret)
{
	struct cfi_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	*ret = t;
	return 0;
}

struct cfi_table *cfi_table_free(struct cfi_table *t)
{
	if (!t)
		return NULL;
	free(t->rows);
	free(t->pages);
	free(t->rules);
	table_release(&t->index);
	free(t);
	return NULL;
}

void cfi_table_sink(struct cfi_table *t, struct cfi_sink *ret)
{
	*ret = (struct cfi_sink){ .ctx = t, .rule = add_rule, .page = add_page };
}

struct cfi_rule cfi_lookup(const struct cfi_table *t, uint64_t offset)
{
	uint64_t page = offset >> CFI_PAGE_SHIFT;
	uint32_t low = offset & ((1U << CFI_PAGE_SHIFT) - 1), first, n;

	if (page < t->first_page || page - t->first_page >= t->n_pages ||
	    !t->pages[page - t->first_page].n)
		return (struct cfi_rule){ .cfa_type = CFI_CFA_NONE };
	first = t->pages[page - t->first_page].first;
	n = t->pages[page - t->first_page].n;
	/* The last row at or before low is in [first, first + n). */
	while (n > 1) {
		uint32_t half = n / 2;

		if (t->rows[first + half] >> 16 <= low)
			first += half;
		n -= half;
	}
	return t->rules[t->rows[first] & UINT16_MAX];
}
