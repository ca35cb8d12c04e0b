/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "flat.h"
#include "symbols.h"

static void add_part(struct flat *f, const void *data, size_t len)
{
	f->parts[f->n_parts++] = (struct iovec){ (void *)(uintptr_t)data, len };
	f->size += len;
}

void flat_symbols(const struct symbols *t, struct flat *ret)
{
	*ret = (struct flat){ .header.symbols = { .magic = FLAT_SYMBOLS_MAGIC,
						  .count = (uint32_t)t->count,
						  .names_len = t->names_len } };
	add_part(ret, &ret->header.symbols, sizeof(ret->header.symbols));
	add_part(ret, t->entries, t->count * sizeof(*t->entries));
	add_part(ret, t->names, t->names_len);
}

void flat_rows(const struct cfi_table *t, const struct cfi_stats *stats, struct flat *ret)
{
	*ret = (struct flat){ .header.rows = { .magic = FLAT_ROWS_MAGIC,
					       .n_rules = t->n_rules,
					       .n_pages = t->n_pages,
					       .n_rows = t->n_rows,
					       .first_page = t->first_page,
					       .fdes = stats->fdes,
					       .unread = stats->unread,
					       .debug_frame = stats->debug_frame,
					       .go = stats->go } };
	add_part(ret, &ret->header.rows, sizeof(ret->header.rows));
	add_part(ret, t->rules, t->n_rules * sizeof(*t->rules));
	add_part(ret, t->pages, t->n_pages * sizeof(*t->pages));
	add_part(ret, t->rows, t->n_rows * sizeof(*t->rows));
}

static bool entries_hold(const struct symbol_entry *entries, size_t n, size_t names_len)
{
	for (size_t i = 0; i < n; i++) {
		const struct symbol_entry *e = &entries[i];
		uint64_t end;

		if (e->name >= names_len || !e->size ||
		    __builtin_add_overflow(e->vaddr, e->size, &end) ||
		    (i && e->vaddr <= entries[i - 1].vaddr))
			return false;
	}
	return true;
}

/* Every string ends, and within the length that a name may have. */
static bool names_hold(const char *names, size_t len)
{
	size_t at = 0;

	while (at < len) {
		size_t left = len - at;
		size_t most = left < OBJECT_NAME_MAX + 1 ? left : OBJECT_NAME_MAX + 1;
		const char *end = memchr(names + at, '\0', most);

		if (!end)
			return false;
		at = (size_t)(end - names) + 1;
	}
	return true;
}

int flat_symbols_view(const void *data, size_t len, struct symbols **ret)
{
	const struct symbol_entry *entries;
	struct flat_symbols h;
	struct symbols *t;
	const char *names;

	if (len < sizeof(h))
		return -EBADMSG;
	memcpy(&h, data, sizeof(h));
	/* The limits keep the sum far from an overflow. */
	if (h.magic != FLAT_SYMBOLS_MAGIC || !h.count || h.count > OBJECT_SYMBOLS_MAX ||
	    h.names_len >= 1ULL << SYMBOL_NAME_BITS ||
	    len != sizeof(h) + (size_t)h.count * sizeof(*entries) + h.names_len)
		return -EBADMSG;
	entries = (const void *)((const char *)data + sizeof(h));
	names = (const char *)(entries + h.count);
	if (!entries_hold(entries, h.count, h.names_len) || !names_hold(names, h.names_len))
		return -EBADMSG;
	t = malloc(sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct symbols){ .entries = (struct symbol_entry *)(uintptr_t)entries,
			       .count = h.count,
			       .names = (char *)(uintptr_t)names,
			       .names_len = h.names_len,
			       .borrowed = true };
	*ret = t;
	return 0;
}

static bool rules_hold(const struct cfi_rule *rules, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (rules[i].cfa_type > CFI_CFA_RA_RDI || rules[i].rbp_type > CFI_RBP_LOST)
			return false;
	return true;
}

/* Rows of one page ascend from its beginning on, and each names a rule that there is. */
static bool page_holds(const uint32_t *rows, uint32_t n, uint32_t n_rules)
{
	for (uint32_t i = 0; i < n; i++) {
		if ((rows[i] & UINT16_MAX) >= n_rules)
			return false;
		if (i ? rows[i] >> 16 <= rows[i - 1] >> 16 : rows[i] >> 16 != 0)
			return false;
	}
	return true;
}

static bool pages_hold(const struct cfi_table *t)
{
	uint32_t next = 0;

	for (uint32_t i = 0; i < t->n_pages; i++) {
		const struct cfi_page *p = &t->pages[i];

		if (p->first != next || p->n > CFI_PAGE_ROWS_MAX || p->n > t->n_rows - next ||
		    !page_holds(t->rows + p->first, p->n, t->n_rules))
			return false;
		next += p->n;
	}
	return next == t->n_rows;
}

int flat_rows_view(const void *data, size_t len, struct cfi_table *ret, struct cfi_stats *ret_stats)
{
	struct cfi_table t = { 0 };
	struct flat_rows h;

	if (len < sizeof(h))
		return -EBADMSG;
	memcpy(&h, data, sizeof(h));
	if (h.magic != FLAT_ROWS_MAGIC || h.n_rules > CFI_RULES_MAX || h.n_pages > CFI_PAGES_MAX ||
	    h.first_page >= CFI_PAGES_MAX || h.n_pages > CFI_PAGES_MAX - h.first_page ||
	    h.n_rows > CFI_ROWS_MAX || h.debug_frame > 1 || h.go > 1 ||
	    len != sizeof(h) + h.n_rules * sizeof(*t.rules) + h.n_pages * sizeof(*t.pages) +
			    h.n_rows * sizeof(*t.rows))
		return -EBADMSG;
	t.n_rules = h.n_rules;
	t.n_pages = h.n_pages;
	t.n_rows = h.n_rows;
	t.first_page = h.first_page;
	t.rules = (struct cfi_rule *)((uintptr_t)data + sizeof(h));
	t.pages = (struct cfi_page *)(t.rules + h.n_rules);
	t.rows = (uint32_t *)(t.pages + h.n_pages);
	if (!rules_hold(t.rules, t.n_rules) || !pages_hold(&t))
		return -EBADMSG;
	*ret = t;
	*ret_stats = (struct cfi_stats){
		.fdes = h.fdes,
		.unread = h.unread,
		.rows = h.n_rows,
		.debug_frame = h.debug_frame,
		.go = h.go,
	};
	return 0;
}
