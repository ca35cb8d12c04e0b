/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of the builder of unwind rows, in the order in which bytes pass through them: where
 * the CFI is (cfi_place), its entries (cfi_parse), which of them in which order (cfi_index), their
 * opcodes (cfi_program) and the rows that come out (cfi_rows). For cfi*.c only.
 */
#ifndef FOLDD_OBJECT_CFI_PARTS_H
#define FOLDD_OBJECT_CFI_PARTS_H

#include "object/cfi.h"
#include "object/cfi_bytes.h"

#define REG_RDI 5
#define REG_RBP 6
#define REG_RSP 7
#define REG_RA  16

/* --- cfi_place.c --- */

/* One section (or what a program header says of it) that has its bytes in the file. */
struct cfi_section {
	uint64_t offset; /* in the file */
	uint64_t size;   /* 0: there is none */
	uint64_t vaddr;
	bool marked; /* its true end is its end mark */
};

struct cfi_places {
	struct cfi_section eh_frame;
	struct cfi_section eh_frame_hdr;
	struct cfi_section debug_frame;
};

/* What is missing or does not fit into the file is left empty. */
int cfi_places_find(const struct object_source *s, const struct object_info *info,
		    struct cfi_places *ret) __must_check;

/* --- what entries say --- */

#define CFI_STATES_MAX 32 /* remember_state without restore_state; compilers nest one or two */

/* What is known of a register of the caller. */
enum cfi_how {
	CFI_HOW_UNSPECIFIED = 0,
	CFI_HOW_SAME,
	CFI_HOW_UNDEFINED,
	CFI_HOW_AT_CFA, /* saved at CFA + value */
	CFI_HOW_IS_CFA, /* is CFA + value */
	CFI_HOW_AT_RBP, /* saved at rbp + value */
	CFI_HOW_AT_RSP, /* saved at rsp + value */
	CFI_HOW_IN_RDI,
	CFI_HOW_OTHER,
};

struct cfi_cell {
	enum cfi_how how;
	int64_t value;
};

struct cfi_state {
	enum { CFA_UNSET = 0, CFA_REGISTER, CFA_DEREF, CFA_PLT, CFA_OTHER } cfa_how;
	uint64_t cfa_register;        /* REGISTER and DEREF */
	int64_t cfa_off;              /* PLT: the threshold */
	uint64_t cfa_add;             /* DEREF */
	struct cfi_cell rbp, rsp, ra; /* rsp is seldom said: it is the CFA */
};

struct cfi_cie {
	uint64_t offset; /* in the section; of the cache */
	bool cached;
	int err;          /* it cannot be used */
	bool sized;       /* FDEs say how long their augmentation is ('z') */
	bool signal;      /* 'S' */
	uint8_t encoding; /* of addresses in FDEs */
	uint64_t code_align;
	int64_t data_align;
	struct cfi_state initial;
};

struct cfi_rows;

struct cfi_fde {
	uint64_t start, end;       /* virtual addresses */
	const struct cfi_cie *cie; /* until the next FDE is read */
	struct cfi_bytes program;  /* likewise */
};

/* The part of an FDE's range that is wanted; it may begin before the FDE (a signal frame). */
struct cfi_span {
	uint64_t begin, end;
};

/* --- cfi_rule.c --- */

/* The rule that says what the state says, or the nearest that says less. */
struct cfi_rule cfi_rule_of(const struct cfi_state *s);
/* DWARF expressions for the CFA and for where a register is saved: a few forms are known. */
void cfi_expression_cfa(struct cfi_state *s, struct cfi_bytes e);
struct cfi_cell cfi_expression_cell(struct cfi_bytes e);

/* --- cfi_program.c --- */

/* Run a CIE's instructions from nothing. -EBADMSG. */
int cfi_program_initial(struct cfi_cie *cie, struct cfi_bytes program) __must_check;
/* From an instruction on that cannot be read, the rule is UNSUPPORTED. */
void cfi_program_run(const struct cfi_fde *fde, const struct cfi_span *span, struct cfi_rows *rows);

/* --- cfi_parse.c --- */

#define CFI_ENTRY_MAX (4 << 20) /* bytes of one CIE or FDE; longer ones are damage */
#define CFI_CIES_MAX  64        /* cached */

/* A sliding view of a section. */
struct cfi_window {
	unsigned char *data;
	size_t allocated;
	uint64_t start; /* in the section */
	size_t len;
	size_t ahead; /* how much the next filling reads: more while the accesses go on nearby */
};

struct cfi_reader {
	const struct object_source *source;
	struct cfi_section section;
	bool debug_frame;
	uint64_t budget; /* bytes of entries that may still be looked at */
	struct cfi_window fdes, cies;
	struct cfi_cie cache[CFI_CIES_MAX];
};

void cfi_reader_init(struct cfi_reader *r, const struct object_source *s,
		     const struct cfi_section *section, bool debug_frame);
void cfi_reader_release(struct cfi_reader *r);
/* -EBADMSG: this entry is of no use; others end everything. */
int cfi_read_fde(struct cfi_reader *r, uint64_t offset, struct cfi_fde *ret) __must_check;
/*
 * The entry at *offset in a walk over all, and step over it. 1: an FDE; 0: something else, or an
 * FDE of no use; -ENODATA at the end.
 */
int cfi_next_fde(struct cfi_reader *r, uint64_t *offset, struct cfi_fde *ret) __must_check;
/* An address as it is encoded; vaddr: where it is encoded, or what it is relative to. */
int cfi_read_pointer(struct cfi_bytes *b, uint8_t encoding, uint64_t vaddr,
		     uint64_t *ret) __must_check;

/* --- cfi_index.c --- */

/* The FDEs of a section, sorted by where their code starts. */
struct cfi_index {
	uint64_t base;  /* virtual address that starts count from */
	uint64_t *keys; /* start - base in the upper half, offset in the section in the lower one */
	size_t n, allocated;
};

static inline uint64_t cfi_index_start(const struct cfi_index *x, size_t i)
{
	return x->base + (x->keys[i] >> 32);
}

static inline uint64_t cfi_index_offset(const struct cfi_index *x, size_t i)
{
	return (uint32_t)x->keys[i];
}

/* From .eh_frame_hdr where that is of use, else by reading all entries. */
int cfi_index_build(struct cfi_reader *r, const struct cfi_section *hdr,
		    const struct object_info *info, struct cfi_index *ret) __must_check;
void cfi_index_release(struct cfi_index *x);
/* The first FDE that starts at or after vaddr. */
size_t cfi_index_find(const struct cfi_index *x, uint64_t vaddr);

/* --- cfi_rows.c --- */

#define CFI_RULE_CACHE 256 /* rules whose number is known; a power of two */

struct cfi_rows {
	const struct cfi_sink *sink;
	uint64_t bias;  /* file offset = virtual address - bias; may wrap */
	int err;        /* the first one; nothing happens from then on */
	uint64_t count; /* rows that the sink has */
	/* The row that the next one may still replace. */
	uint64_t pending;
	uint64_t pending_key;
	/* The rule before it, in force at the end of the buffer. */
	uint64_t last_key;
	uint64_t page;
	uint32_t n; /* rows of that page */
	struct {
		uint64_t key;
		int id; /* -1: free */
	} cache[CFI_RULE_CACHE];
	uint32_t buffer[CFI_PAGE_ROWS_MAX];
};

extern const struct cfi_rule cfi_none, cfi_unsupported;

void cfi_rows_init(struct cfi_rows *r, const struct cfi_sink *sink);
/* From vaddr on the rule holds. Addresses ascend; a second rule at one address replaces it. */
void cfi_rows_add(struct cfi_rows *r, uint64_t vaddr, const struct cfi_rule *rule);
/* Hand the rest to the sink: 0 or the first error. */
int cfi_rows_finish(struct cfi_rows *r) __must_check;

#endif
