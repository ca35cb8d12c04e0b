/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "symbols.h"

#define SIZELESS_REACH 4096 /* no label of assembly is trusted further than a page */
#define NESTED_MAX     32   /* symbols that may start within another one before it is forgotten */

uint64_t code_end(const struct code *c, uint64_t vaddr)
{
	for (size_t i = 0; i < c->count; i++)
		if (vaddr >= c->ranges[i].start && vaddr < c->ranges[i].end)
			return c->ranges[i].end;
	return 0;
}

struct symbols *symbols_free(struct symbols *t)
{
	if (!t)
		return NULL;
	if (!t->borrowed) {
		free(t->entries);
		free(t->names);
	}
	free(t);
	return NULL;
}

size_t symbols_count(const struct symbols *t)
{
	return t->count;
}

size_t symbols_bytes(const struct symbols *t)
{
	return sizeof(*t) + t->count * sizeof(*t->entries) + t->names_len;
}

bool symbols_find(const struct symbols *t, uint64_t vaddr, struct symbol *ret)
{
	size_t low = 0, high = t->count;

	/* The number of symbols that start at or before vaddr. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->entries[middle].vaddr <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	/* The nearest may have ended, inside of one that has not. */
	for (size_t i = low; i > 0 && low - i < NESTED_MAX; i--) {
		const struct symbol_entry *e = &t->entries[i - 1];

		if (vaddr - e->vaddr < e->size) {
			*ret = (struct symbol){
				.name = t->names + e->name,
				.vaddr = e->vaddr,
				.size = e->size,
			};
			return true;
		}
	}
	return false;
}

static int compare_vaddr(const void *a, const void *b)
{
	const struct symbol_entry *x = a, *y = b;

	return (x->vaddr > y->vaddr) - (x->vaddr < y->vaddr);
}

static int compare_name(const void *a, const void *b)
{
	const struct symbol_entry *x = a, *y = b;

	return (x->name > y->name) - (x->name < y->name);
}

/*
 * How far a name is from what a program would write: libraries put underscores before the names
 * of their own that stand for a public one. Those of a mangled name are part of the mangling.
 */
static size_t underscores(const char *name)
{
	return !strncmp(name, "_Z", 2) || !strncmp(name, "_R", 2) ? 0 : strspn(name, "_");
}

/*
 * A total order, so that the choice does not depend on the order in the file: functions before
 * labels, puts before _IO_puts, then what others can link to, what has a size, what is short.
 */
static bool is_better(const struct symbols *t, const struct symbol_entry *a,
		      const struct symbol_entry *b)
{
	const char *x = t->names + a->name, *y = t->names + b->name;
	size_t x_len, y_len;

	if ((a->rank == SYMBOL_LABEL) != (b->rank == SYMBOL_LABEL))
		return b->rank == SYMBOL_LABEL;
	x_len = underscores(x);
	y_len = underscores(y);
	if (x_len != y_len)
		return x_len < y_len;
	if (a->rank != b->rank)
		return a->rank < b->rank;
	if (!a->size != !b->size)
		return a->size;
	x_len = strlen(x);
	y_len = strlen(y);
	return x_len != y_len ? x_len < y_len : strcmp(x, y) < 0;
}

/* One entry an address: the best name, with the largest of the sizes that its aliases state. */
static void merge_aliases(struct symbols *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->count; i++) {
		const struct symbol_entry *e = &t->entries[i];
		struct symbol_entry *best;
		uint32_t size;

		if (!n || t->entries[n - 1].vaddr != e->vaddr) {
			t->entries[n++] = *e;
			continue;
		}
		best = &t->entries[n - 1];
		size = best->size > e->size ? best->size : e->size;
		if (is_better(t, e, best))
			*best = *e;
		best->size = size;
	}
	t->count = n;
}

/* Every size becomes the reach of the name; entries without any are dropped. */
static void set_reach(struct symbols *t, const struct code *code, bool complete)
{
	uint64_t sized_end = 0; /* of the stated ranges so far */
	size_t n = 0;

	for (size_t i = 0; i < t->count; i++) {
		struct symbol_entry e = t->entries[i];
		uint64_t left = code_end(code, e.vaddr) - e.vaddr;

		if (e.size) {
			if (e.size > left)
				e.size = (uint32_t)left;
			if (e.vaddr + e.size > sized_end)
				sized_end = e.vaddr + e.size;
		} else {
			/* A label inside of a function that knows its size is not another one. */
			if (!complete || e.vaddr < sized_end)
				continue;
			if (left > SIZELESS_REACH)
				left = SIZELESS_REACH;
			if (i + 1 < t->count && t->entries[i + 1].vaddr - e.vaddr < left)
				left = t->entries[i + 1].vaddr - e.vaddr;
			e.size = (uint32_t)left;
		}
		t->entries[n++] = e;
	}
	t->count = n;
}

/*
 * Move the names in use to the front, in place. In the order of their offsets a name that starts
 * within the one before it is its tail and stays that, so that no file can make names grow by
 * pointing at one long string from everywhere.
 */
static void compact_names(struct symbols *t)
{
	size_t from = 0, to = 0, used = 0; /* the last moved name: where it was, where it is */
	size_t end = 0;                    /* behind its NUL, where it was */

	qsort(t->entries, t->count, sizeof(*t->entries), compare_name);
	for (size_t i = 0; i < t->count; i++) {
		struct symbol_entry *e = &t->entries[i];

		if (e->name >= end) {
			from = e->name;
			to = used;
			end = from + strlen(t->names + from) + 1;
			memmove(t->names + to, t->names + from, end - from);
			used += end - from;
		}
		e->name = (uint32_t)(to + (e->name - from)) & ((1U << SYMBOL_NAME_BITS) - 1);
	}
	t->names_len = used;
	qsort(t->entries, t->count, sizeof(*t->entries), compare_vaddr);
}

/* Failing to shrink is no failure. */
static void trim(struct symbols *t)
{
	void *p = realloc(t->entries, t->count * sizeof(*t->entries));

	if (p)
		t->entries = p;
	p = realloc(t->names, t->names_len);
	if (p)
		t->names = p;
}

int symbols_finish(struct symbols *t, const struct code *code, bool complete)
{
	if (t->count)
		qsort(t->entries, t->count, sizeof(*t->entries), compare_vaddr);
	merge_aliases(t);
	set_reach(t, code, complete);
	if (!t->count)
		return -ENOENT;
	compact_names(t);
	trim(t);
	return 0;
}
