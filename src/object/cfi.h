/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unwind rows of an ELF file for x86-64: .eh_frame (or .debug_frame where there is none) turned
 * into 4-byte rows that a search without branches can use. Pure functions over hostile bytes.
 *
 * A row is the low 16 bits of a FILE OFFSET of code (frames are (object, file offset)) and the
 * number of a rule, pc_low << 16 | rule. Rows are sorted within pages of 64 KiB of the file; a row
 * holds from its offset to the next row. Each page begins with a row at 0, which carries the rule
 * of the page before it over.
 */
#ifndef FOLDD_OBJECT_CFI_H
#define FOLDD_OBJECT_CFI_H

#include "base/table.h"
#include "object/object.h"

#define CFI_FDES_MAX      (2U << 20) /* functions of one file */
#define CFI_ROWS_MAX      (8U << 20) /* rows of one file */
#define CFI_PAGE_SHIFT    16         /* 64 KiB */
#define CFI_PAGE_ROWS_MAX UINT16_MAX /* rows of one page */
#define CFI_PAGES_MAX     65536      /* code past 4 GiB has no rows */
#define CFI_OFFSET_MAX    ((uint64_t)CFI_PAGES_MAX << CFI_PAGE_SHIFT)
#define CFI_RULES_MAX     65536 /* what 16 bits number */

/* How the CFA is found; the return address is at CFA - 8 for all from PLT on. */
enum cfi_cfa {
	CFI_CFA_NONE = 0,        /* no CFI here: follow the frame pointer, if it looks like one */
	CFI_CFA_UNSUPPORTED = 1, /* CFI that these rules cannot express: the walk ends */
	CFI_CFA_STOP = 2,        /* the return address is undefined: the root of the stack */
	CFI_CFA_SIGNAL = 3,      /* rt_sigframe at rsp: see CFI_SIGNAL_* */
	CFI_CFA_PLT = 4,         /* rsp + 8 + (((pc & 15) >= cfa_off) << 3) */
	CFI_CFA_RSP = 5,         /* rsp + cfa_off */
	CFI_CFA_RBP = 6,         /* rbp + cfa_off */
	CFI_CFA_DEREF_RSP = 7,   /* *(rsp + cfi_deref_off()) + cfi_deref_add() */
	CFI_CFA_DEREF_RBP = 8,   /* *(rbp + cfi_deref_off()) + cfi_deref_add() */
};

/* Where the caller's rbp is. */
enum cfi_rbp {
	CFI_RBP_SAME = 0,  /* in rbp */
	CFI_RBP_CFA = 1,   /* at CFA + rbp_off */
	CFI_RBP_FRAME = 2, /* at this frame's rbp + rbp_off */
	CFI_RBP_LOST = 3,  /* nowhere that these rules can express */
};

/* Where the kernel has put the interrupted registers: bytes from rsp in the signal trampoline. */
#define CFI_SIGNAL_RBP 120
#define CFI_SIGNAL_RSP 160
#define CFI_SIGNAL_RIP 168

struct cfi_rule {
	int32_t cfa_off;
	int16_t rbp_off;
	uint8_t cfa_type; /* enum cfi_cfa */
	uint8_t rbp_type; /* enum cfi_rbp */
};

_Static_assert(sizeof(struct cfi_rule) == 8, "8 bytes a rule, without padding");

/* A dereferencing CFA packs two numbers: 24 bits signed to read at, 8 bits unsigned to add. */
#define CFI_DEREF_OFF_MAX ((1 << 23) - 1)
#define CFI_DEREF_OFF_MIN (-(1 << 23))
#define CFI_DEREF_ADD_MAX UINT8_MAX

static inline int32_t cfi_deref_pack(int32_t off, uint8_t add)
{
	return (int32_t)((uint32_t)add << 24 | ((uint32_t)off & 0xffffff));
}

static inline int32_t cfi_deref_off(const struct cfi_rule *r)
{
	return (int32_t)((uint32_t)r->cfa_off << 8) >> 8;
}

static inline uint32_t cfi_deref_add(const struct cfi_rule *r)
{
	return (uint32_t)r->cfa_off >> 24;
}

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
