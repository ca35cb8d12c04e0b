/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unwind rows of an ELF file for x86-64: .eh_frame (or .debug_frame where there is none), and the
 * function table of a Go program for code that these do not cover, turned into 4-byte rows that a
 * search without branches can use. Pure functions over hostile bytes.
 *
 * A row is the low 16 bits of a FILE OFFSET of code (frames are (object, file offset)) and the
 * number of a rule, pc_low << 16 | rule. Rows are sorted within pages of 64 KiB of the file; a row
 * holds from its offset to the next row. Each page begins with a row at 0, which carries the rule
 * of the page before it over.
 */
#ifndef FOLDD_OBJECT_CFI_H
#define FOLDD_OBJECT_CFI_H

#include <foldd/rule.h>
#include "base/table.h"
#include "object/object.h"

#define CFI_FDES_MAX      (2U << 20) /* functions of one file */
#define CFI_ROWS_MAX      (8U << 20) /* rows of one file */
#define CFI_PAGE_SHIFT    16         /* 64 KiB */
#define CFI_PAGE_ROWS_MAX UINT16_MAX /* rows of one page */
#define CFI_PAGES_MAX     65536      /* code past 4 GiB has no rows */
#define CFI_OFFSET_MAX    ((uint64_t)CFI_PAGES_MAX << CFI_PAGE_SHIFT)
#define CFI_RULES_MAX     65536 /* what 16 bits number */

/* Where the rows go. Either function ends the building by a negative errno. */
struct cfi_sink {
	void *ctx;
	/* The number of this rule, below CFI_RULES_MAX; asked a few times for each rule. */
	int (*rule)(void *ctx, const struct cfi_rule *rule);
	/* All rows of one page, 1 to CFI_PAGE_ROWS_MAX; pages ascend, one without CFI is left out.
	 */
	int (*page)(void *ctx, uint32_t page, const uint32_t *rows, uint32_t n);
};

struct cfi_stats {
	uint32_t fdes;   /* with code in this file */
	uint32_t unread; /* of these: damaged or of an unknown kind, UNSUPPORTED as a whole */
	uint32_t rows;
	bool debug_frame; /* rows come from .debug_frame */
	bool go;          /* what no FDE covers comes from .gopclntab */
};

/*
 * 0; -ENOENT (no CFI in the file), -ENOTSUP (not x86-64), -E2BIG (past a limit), -EBADMSG
 * (damaged), -ENOMEM, read errors and those of the sink, which may have got rows by then.
 * ret_stats may be NULL.
 */
int cfi_build(const struct object_source *s, const struct object_info *info,
	      const struct cfi_sink *sink, struct cfi_stats *ret_stats) __must_check;

struct cfi_page {
	uint32_t first; /* row */
	uint32_t n;     /* rows; 0: no CFI in this page */
};

/* The sink that keeps all in memory. */
struct cfi_table {
	uint32_t *rows;
	uint32_t n_rows;
	struct cfi_page *pages; /* of the file, from first_page on */
	uint32_t first_page;
	uint32_t n_pages;
	struct cfi_rule *rules;
	uint32_t n_rules;
	uint32_t rows_allocated, pages_allocated, rules_allocated;
	struct table index; /* of rules */
};

int cfi_table_new(struct cfi_table **ret) __must_check;
struct cfi_table *cfi_table_free(struct cfi_table *t);
DEFINE_CLEANUP(struct cfi_table *, cfi_table_free)
/* A sink that fills t (borrowed); for one file. */
void cfi_table_sink(struct cfi_table *t, struct cfi_sink *ret);
/* The rule for the code at a file offset. NONE where the table says nothing. */
struct cfi_rule cfi_lookup(const struct cfi_table *t, uint64_t offset);

#endif
