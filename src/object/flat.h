/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables as flat bytes, the way they go from the program that parses files to the one that uses
 * them: a header, then arrays without gaps. Who takes them in trusts nothing: a view is only made
 * of bytes in which every count, offset and order holds, so that looking things up in it is safe
 * whatever made it. That they say the truth about the file nobody can check.
 */
#ifndef FOLDD_OBJECT_FLAT_H
#define FOLDD_OBJECT_FLAT_H

#include <sys/uio.h>
#include "object/cfi.h"

#define FLAT_SYMBOLS_MAGIC 0x316d7973 /* "sym1" */
#define FLAT_ROWS_MAGIC    0x31776f72 /* "row1" */
#define FLAT_PARTS_MAX     4

struct flat_symbols {
	uint32_t magic;
	uint32_t count;     /* struct symbol_entry */
	uint64_t names_len; /* bytes behind the entries */
};

struct flat_rows {
	uint32_t magic;
	uint32_t n_rules; /* struct cfi_rule */
	uint32_t n_pages; /* struct cfi_page, behind the rules */
	uint32_t n_rows;  /* uint32_t, behind the pages */
	uint32_t first_page;
	uint32_t fdes, unread;
	uint16_t debug_frame, go; /* where rows come from */
};

_Static_assert(sizeof(struct flat_symbols) == 16, "no padding");
_Static_assert(sizeof(struct flat_rows) == 32, "no padding");

/* What is written one part behind the other. The parts belong to the table and to this. */
struct flat {
	union {
		struct flat_symbols symbols;
		struct flat_rows rows;
	} header;
	struct iovec parts[FLAT_PARTS_MAX];
	int n_parts;
	size_t size; /* sum of the parts */
};

void flat_symbols(const struct symbols *t, struct flat *ret);
void flat_rows(const struct cfi_table *t, const struct cfi_stats *stats, struct flat *ret);

/*
 * Views of such bytes, which they borrow, aligned to 8. -EBADMSG where anything is out of order;
 * -ENOMEM. A table of rows is to be read only, never to be freed or filled.
 */
int flat_symbols_view(const void *data, size_t len, struct symbols **ret) __must_check;
int flat_rows_view(const void *data, size_t len, struct cfi_table *ret,
		   struct cfi_stats *ret_stats) __must_check;

#endif
