/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "test_object_cfi.h"

#define F (TEXT_OFFSET + 0x100) /* where the function of a test is */

static void expect(const struct cfi_table *t, uint64_t offset, struct cfi_rule want)
{
	struct cfi_rule got = cfi_lookup(t, offset);

	if (memcmp(&got, &want, sizeof(got)))
		fail_msg("at 0x%lx: cfa %u %d rbp %u %d, not cfa %u %d rbp %u %d",
			 (unsigned long)offset, got.cfa_type, got.cfa_off, got.rbp_type,
			 got.rbp_off, want.cfa_type, want.cfa_off, want.rbp_type, want.rbp_off);
}

static struct cfi_rule rule(enum cfi_cfa type, int32_t off)
{
	return (struct cfi_rule){ .cfa_type = (uint8_t)type, .cfa_off = off };
}

static struct cfi_rule saved(enum cfi_cfa type, int32_t off, enum cfi_rbp rbp, int16_t rbp_off)
{
	return (struct cfi_rule){ off, rbp_off, (uint8_t)type, (uint8_t)rbp };
}

#define ENTRY       rule(CFI_CFA_RSP, 8)
#define NONE        rule(CFI_CFA_NONE, 0)
#define UNSUPPORTED rule(CFI_CFA_UNSUPPORTED, 0)

static struct cfi_table *built(struct cfi_file *f, struct cfi_stats *stats)
{
	struct cfi_table *t = NULL;

	assert_int_equal(cfi_file_build(f, FILE_BYTES, &t, stats), 0);
	cfi_check_table(t);
	return t;
}

/* The function that all compilers write, byte by byte. */
static void frame_pointer_function(void **state)
{
	_cleanup_free_ struct cfi_file *f = cfi_file_new();
	_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
	struct cfi_stats stats;
	size_t cie = cfi_file_usual_cie(f);

	(void)state;
	cfi_file_fde(f, cie, F, 0x20,
		     BYTES(ADV(1), DEF_OFF(16), OFFSET(6, 2), ADV(3), DEF_REG(6), ADV(0x1b),
			   DEF_CFA(7, 8)));
	t = built(f, &stats);
	expect(t, F - 1, NONE);
	expect(t, F, ENTRY);
	for (int i = 1; i < 4; i++)
		expect(t, F + i, saved(CFI_CFA_RSP, 16, CFI_RBP_CFA, -16));
	for (int i = 4; i < 0x1f; i++)
		expect(t, F + i, saved(CFI_CFA_RBP, 16, CFI_RBP_CFA, -16));
	expect(t, F + 0x1f, saved(CFI_CFA_RSP, 8, CFI_RBP_CFA, -16));
	expect(t, F + 0x20, NONE);
	assert_int_equal(stats.fdes, 1);
	assert_int_equal(stats.unread, 0);
	assert_int_equal(stats.rows, 6); /* with what begins the page */
	assert_false(stats.debug_frame);
}

struct opcode_case {
	const unsigned char *program;
	size_t len;
	struct cfi_rule want;
};

#define EXPRESSION_PLT(lit) 0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, lit, 0x2a, 0x33, 0x24, 0x22

static void check_opcodes(const struct opcode_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ struct cfi_file *f = cfi_file_new();
		_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
		size_t cie = cfi_file_usual_cie(f);

		cfi_file_fde(f, cie, F, 0x20, cases[i].program, cases[i].len);
		t = built(f, NULL);
		expect(t, F + 0x1f, cases[i].want);
		expect(t, F + 0x20, NONE);
	}
}

static void opcodes_of_the_cfa(void **state)
{
	const struct opcode_case cases[] = {
		{ BYTES(0, ADV(1), 0), ENTRY },
		{ BYTES(0x02, 1, DEF_OFF(16)), rule(CFI_CFA_RSP, 16) },
		{ BYTES(0x03, 1, 0, DEF_OFF(16)), rule(CFI_CFA_RSP, 16) },
		{ BYTES(0x04, 1, 0, 0, 0, DEF_OFF(16)), rule(CFI_CFA_RSP, 16) },
		{ BYTES(0x04, 0, 0, 1, 0, DEF_OFF(16)), ENTRY }, /* past the end */
		{ BYTES(DEF_OFF(0x80), 0x81, 0), rule(CFI_CFA_RSP, 128) },
		{ BYTES(0x13, 0x7e), rule(CFI_CFA_RSP, 16) },
		{ BYTES(0x12, 6, 0x7d), rule(CFI_CFA_RBP, 24) },
		{ BYTES(0x0e, 0x80, 0x80, 0x80, 0x80, 0x08), UNSUPPORTED }, /* 2^31 */
		{ BYTES(DEF_CFA(10, 0)), UNSUPPORTED },
		{ BYTES(DEF_CFA(10, 0), ADV(1), DEF_CFA(7, 8)), ENTRY },
		{ BYTES(0x0a, DEF_OFF(64), ADV(1), 0x0b), ENTRY },
		{ BYTES(0x2e, 16), ENTRY },
		{ BYTES(EXPRESSION_PLT(0x3b)), rule(CFI_CFA_PLT, 11) },
		{ BYTES(EXPRESSION_PLT(0x3a)), rule(CFI_CFA_PLT, 10) },
		{ BYTES(EXPRESSION_PLT(0x22)), UNSUPPORTED },
		{ BYTES(0x0f, 2, 0x77, 16), rule(CFI_CFA_RSP, 16) },
		{ BYTES(0x0f, 3, 0x76, 0x78, 0x06),
		  rule(CFI_CFA_DEREF_RBP, cfi_deref_pack(-8, 0)) },
		{ BYTES(0x0f, 5, 0x77, 24, 0x06, 0x23, 8),
		  rule(CFI_CFA_DEREF_RSP, cfi_deref_pack(24, 8)) },
		{ BYTES(0x0f, 7, 0x77, 24, 0x06, 0x23, 8, 0x23, 16),
		  rule(CFI_CFA_DEREF_RSP, cfi_deref_pack(24, 24)) },
		{ BYTES(0x0f, 6, 0x77, 24, 0x06, 0x23, 0x80, 0x02), UNSUPPORTED },
		{ BYTES(0x0f, 3, 0x7a, 0, 0x06), UNSUPPORTED },
		{ BYTES(0x0f, 0), UNSUPPORTED },
		{ BYTES(0x0f, 3, 0x7a, 0, 0x06, DEF_OFF(8)), UNSUPPORTED },
		{ BYTES(0x0f, 3, 0x7a, 0, 0x06, DEF_REG(7)), UNSUPPORTED },
		{ BYTES(0x01, 0, 0, 0, 0), UNSUPPORTED },
		{ BYTES(0x2d), UNSUPPORTED },
		{ BYTES(0x3f), UNSUPPORTED },
		{ BYTES(0x1d, 1, 0, 0, 0, 0, 0, 0, 0), UNSUPPORTED },
		{ BYTES(0x0b), UNSUPPORTED },
	};

	(void)state;
	check_opcodes(cases, ARRAY_SIZE(cases));
}

static void opcodes_of_registers(void **state)
{
	const struct cfi_rule lost = saved(CFI_CFA_RSP, 8, CFI_RBP_LOST, 0);
	const struct opcode_case cases[] = {
		{ BYTES(OFFSET(6, 2)), saved(CFI_CFA_RSP, 8, CFI_RBP_CFA, -16) },
		{ BYTES(OFFSET(3, 2)), ENTRY },
		{ BYTES(OFFSET(6, 2), ADV(1), RESTORE(6)), ENTRY },
		{ BYTES(OFFSET(6, 2), ADV(1), 0x06, 6), ENTRY },
		{ BYTES(0x05, 6, 3), saved(CFI_CFA_RSP, 8, CFI_RBP_CFA, -24) },
		{ BYTES(0x11, 6, 0x7f), saved(CFI_CFA_RSP, 8, CFI_RBP_CFA, 8) },
		{ BYTES(0x2f, 6, 2), saved(CFI_CFA_RSP, 8, CFI_RBP_CFA, 16) },
		{ BYTES(0x05, 6, 0x80, 0x80, 0x01), lost }, /* -2^17: more than 16 bits */
		{ BYTES(OFFSET(6, 2), 0x08, 6), ENTRY },
		{ BYTES(0x07, 6), lost },
		{ BYTES(0x09, 6, 3), lost },
		{ BYTES(0x14, 6, 2), lost },
		{ BYTES(0x15, 6, 2), lost },
		{ BYTES(0x16, 6, 2, 0x76, 0), lost },
		{ BYTES(0x10, 6, 2, 0x76, 0), saved(CFI_CFA_RSP, 8, CFI_RBP_FRAME, 0) },
		{ BYTES(0x10, 6, 2, 0x76, 0x70), saved(CFI_CFA_RSP, 8, CFI_RBP_FRAME, -16) },
		{ BYTES(0x10, 6, 2, 0x7a, 0), lost },
		{ BYTES(0x10, 12, 2, 0x76, 0), ENTRY },
		{ BYTES(0x07, 16), rule(CFI_CFA_STOP, 0) },
		{ BYTES(0x09, 16, 5), rule(CFI_CFA_RA_RDI, 8) }, /* vfork: in rdi */
		{ BYTES(0x09, 16, 4), UNSUPPORTED },
		{ BYTES(0x09, 16, 5, DEF_REG(6)), UNSUPPORTED },
		{ BYTES(0x09, 16, 5, OFFSET(6, 2)), UNSUPPORTED },
		{ BYTES(0x09, 6, 5), lost },
		{ BYTES(OFFSET(16, 2)), UNSUPPORTED },
		{ BYTES(0x08, 16), UNSUPPORTED },
		{ BYTES(0x09, 7, 8), UNSUPPORTED }, /* longjmp: another stack */
		{ BYTES(0x14, 7, 0), ENTRY },
		{ BYTES(0x14, 7, 1), UNSUPPORTED },
	};

	(void)state;
	check_opcodes(cases, ARRAY_SIZE(cases));
}

/* What cannot be read ends the FDE from there on only, and only the FDE. */
static void unreadable_tail(void **state)
{
	_cleanup_free_ struct cfi_file *f = cfi_file_new();
	_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
	size_t cie = cfi_file_usual_cie(f);

	(void)state;
	cfi_file_fde(f, cie, F, 0x20, BYTES(ADV(4), DEF_OFF(16), ADV(4), 0x3f, ADV(4)));
	cfi_file_fde(f, cie, F + 0x20, 0x20, NO_BYTES);
	t = built(f, NULL);
	expect(t, F + 3, ENTRY);
	expect(t, F + 7, rule(CFI_CFA_RSP, 16));
	expect(t, F + 8, UNSUPPORTED);
	expect(t, F + 0x1f, UNSUPPORTED);
	expect(t, F + 0x20, ENTRY);
}

static void gaps(void **state)
{
	_cleanup_free_ struct cfi_file *f = cfi_file_new();
	_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
	size_t cie = cfi_file_usual_cie(f);

	(void)state;
	cfi_file_fde(f, cie, F, 1, BYTES(DEF_OFF(16)));
	cfi_file_fde(f, cie, F + 16, 4, BYTES(DEF_OFF(24))); /* 15 bytes behind */
	cfi_file_fde(f, cie, F + 36, 4, BYTES(DEF_OFF(32))); /* 16 bytes behind */
	t = built(f, NULL);
	expect(t, F - 1, NONE);
	expect(t, F + 15, rule(CFI_CFA_RSP, 16));
	expect(t, F + 16, rule(CFI_CFA_RSP, 24));
	expect(t, F + 20, NONE);
	expect(t, F + 35, NONE);
	expect(t, F + 36, rule(CFI_CFA_RSP, 32));
	expect(t, F + 40, NONE);
}

static void overlaps_and_equal_rows(void **state)
{
	_cleanup_free_ struct cfi_file *f = cfi_file_new();
	_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
	size_t cie = cfi_file_usual_cie(f);

	(void)state;
	/* In any order: there is no table that sorts them. */
	cfi_file_fde(f, cie, F + 0x40, 0x10, NO_BYTES); /* as the one before it */
	cfi_file_fde(f, cie, F + 8, 0x18, BYTES(DEF_OFF(24), ADV(0x10), DEF_OFF(32)));
	cfi_file_fde(f, cie, F, 0x10, BYTES(DEF_OFF(16)));
	cfi_file_fde(f, cie, F + 4, 4, BYTES(DEF_OFF(40))); /* inside the first */
	cfi_file_fde(f, cie, F + 2, 0, BYTES(DEF_OFF(40))); /* nothing */
	cfi_file_fde(f, cie, F + 0x30, 0x10, BYTES(ADV(4), ADV(0), DEF_OFF(8)));
	t = built(f, NULL);
	expect(t, F + 0xf, rule(CFI_CFA_RSP, 16));
	expect(t, F + 0x10, rule(CFI_CFA_RSP, 24));
	expect(t, F + 0x17, rule(CFI_CFA_RSP, 24));
	expect(t, F + 0x18, rule(CFI_CFA_RSP, 32));
	expect(t, F + 0x20, NONE);
	expect(t, F + 0x30, ENTRY);
	expect(t, F + 0x4f, ENTRY);
	expect(t, F + 0x50, NONE);
	assert_int_equal(t->n_rows, 7);
}

static void pages_carry_over(void **state)
{
	_cleanup_free_ struct cfi_file *f = cfi_file_new();
	_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
	size_t cie = cfi_file_usual_cie(f);

	(void)state;
	cfi_file_fde(f, cie, 0xfff0, 0x1fff0,
		     BYTES(ADV(8), DEF_OFF(16), 0x04, 0x00, 0xf0, 0x01, 0x00, DEF_OFF(24)));
	t = built(f, NULL);
	assert_int_equal(t->first_page, 0);
	assert_int_equal(t->n_pages, 3);
	assert_int_equal(t->pages[0].n, 3);
	assert_int_equal(t->pages[1].n, 1);
	assert_int_equal(t->pages[2].n, 3);
	expect(t, 0xffef, NONE);
	expect(t, 0xfff0, ENTRY);
	expect(t, 0xffff, rule(CFI_CFA_RSP, 16));
	expect(t, 0x10000, rule(CFI_CFA_RSP, 16));
	expect(t, 0x2eff7, rule(CFI_CFA_RSP, 16));
	expect(t, 0x2eff8, rule(CFI_CFA_RSP, 24));
	expect(t, 0x2ffdf, rule(CFI_CFA_RSP, 24));
	expect(t, 0x2ffe0, NONE);
	expect(t, 0x30000, NONE);
	expect(t, UINT64_MAX, NONE);
}

static void signal_frame(void **state)
{
	_cleanup_free_ struct cfi_file *f = cfi_file_new();
	_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
	size_t cie = cfi_file_cie(f, "zRS", BYTES(0x1b));

	(void)state;
	cfi_file_fde(f, cie, F, 9,
		     BYTES(0x0f, 4, 0x77, 0xa0, 0x01, 0x06, 0x10, 16, 3, 0x77, 0xa8, 0x01, 0x10, 7,
			   3, 0x77, 0xa0, 0x01, 0x10, 6, 3, 0x77, 0xf8, 0x00));
	t = built(f, NULL);
	expect(t, F - 2, NONE);
	expect(t, F - 1, rule(CFI_CFA_SIGNAL, 0));
	expect(t, F + 8, rule(CFI_CFA_SIGNAL, 0));
	expect(t, F + 9, NONE);
}

static void augmentations(void **state)
{
	const struct {
		const char *letters;
		const unsigned char *data;
		size_t len;
		bool good;
	} cases[] = {
		{ "zR", BYTES(0x1b), true },
		{ "zPLR", BYTES(0x9b, 1, 2, 3, 4, 0x1b, 0x1b), true },
		{ "zPLR", BYTES(0xff, 0xff, 0x1b), true },
		{ "zLRS", BYTES(0x1b, 0x1b), true },
		{ "zR", BYTES(0x1b, 0, 0), true },
		{ "zRX", BYTES(0x1b, 0), false },
		{ "zR", BYTES(0x3b), false },
		{ "zR", BYTES(0x9b), false },
		{ "zR", BYTES(0xff), false },
		{ "zPR", BYTES(0x50, 0x1b), false },
		{ "R", BYTES(0x1b), false },
		{ "armcc+", NO_BYTES, false },
		{ "zRRRRRRRRRRRRRRRRRRRRR", BYTES(0x1b), false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ struct cfi_file *f = cfi_file_new();
		_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
		struct cfi_stats stats;
		size_t good, cie;

		good = cfi_file_usual_cie(f);
		cfi_file_pair(f, TEXT_VADDR, cfi_file_fde(f, good, TEXT_OFFSET, 4, NO_BYTES));
		cie = cfi_file_cie(f, cases[i].letters, cases[i].data, cases[i].len);
		cfi_file_pair(f, TEXT_VADDR + 0x100, cfi_file_fde(f, cie, F, 4, NO_BYTES));
		cfi_file_pair(f, TEXT_VADDR + 0x140, cfi_file_fde(f, good, F + 0x40, 4, NO_BYTES));
		t = built(f, &stats);
		expect(t, TEXT_OFFSET, ENTRY);
		/* What cannot be read may reach to the next one. */
		expect(t, F, cases[i].good ? ENTRY : UNSUPPORTED);
		expect(t, F + 0x3f, cases[i].good ? NONE : UNSUPPORTED);
		expect(t, F + 0x40, ENTRY);
		assert_int_equal(stats.unread, !cases[i].good);
	}
}

static void addresses_of_64_bits(void **state)
{
	static const char *const letters[] = { "", "eh" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++) {
		_cleanup_free_ struct cfi_file *f = cfi_file_new();
		_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
		size_t cie = cfi_file_cie(f, letters[i], NO_BYTES);

		cfi_file_plain_fde(f, cie, F, 0x20, BYTES(ADV(8), DEF_OFF(32)));
		t = built(f, NULL);
		expect(t, F, ENTRY);
		expect(t, F + 8, rule(CFI_CFA_RSP, 32));
		expect(t, F + 0x20, NONE);
	}
}

static void debug_frame(void **state)
{
	_cleanup_free_ struct cfi_file *f = cfi_file_new();
	_cleanup_(cfi_table_free) struct cfi_table *t = NULL, *other = NULL;
	struct cfi_stats stats;
	size_t cie;

	(void)state;
	cfi_file_debug(f);
	cie = cfi_file_cie(f, "", NO_BYTES);
	cfi_file_plain_fde(f, cie, F + 0x20, 0x20, BYTES(ADV(8), DEF_OFF(32)));
	cfi_file_plain_fde(f, cie, F, 0x20, NO_BYTES);
	t = built(f, &stats);
	assert_true(stats.debug_frame);
	expect(t, F, ENTRY);
	expect(t, F + 0x28, rule(CFI_CFA_RSP, 32));
	/* Not where .eh_frame says as much. */
	f->debug = false;
	f->at = EH_OFFSET;
	cie = cfi_file_usual_cie(f);
	for (int i = 0; i < 3; i++)
		cfi_file_fde(f, cie, F + 16 * (uint64_t)i, 16, BYTES(DEF_OFF(64)));
	other = built(f, &stats);
	assert_false(stats.debug_frame);
	expect(other, F, rule(CFI_CFA_RSP, 64));
}

static void table_of_the_linker(void **state)
{
	_cleanup_free_ struct cfi_file *f = cfi_file_new();
	_cleanup_(cfi_table_free) struct cfi_table *sorted = NULL, *stripped = NULL, *wrong = NULL;
	size_t cie = cfi_file_usual_cie(f), first, second;

	(void)state;
	second = cfi_file_fde(f, cie, F + 0x20, 4, BYTES(DEF_OFF(16)));
	first = cfi_file_fde(f, cie, F, 4, NO_BYTES);
	cfi_file_fde(f, cie, F + 0x40, 4, BYTES(DEF_OFF(24)));
	cfi_file_pair(f, TEXT_VADDR + 0x100, first);
	cfi_file_pair(f, TEXT_VADDR + 0x120, second);
	sorted = built(f, NULL);
	expect(sorted, F, ENTRY);
	expect(sorted, F + 0x20, rule(CFI_CFA_RSP, 16));
	expect(sorted, F + 0x40, NONE); /* it is what the unwinder of C++ goes by too */
	/* Without section headers. */
	f->header.e_shoff = f->header.e_shnum = f->header.e_shstrndx = 0;
	stripped = built(f, NULL);
	expect(stripped, F + 0x20, rule(CFI_CFA_RSP, 16));
	/* Not where it is wrong. */
	cfi_file_pair(f, TEXT_VADDR + 0x130, first);
	wrong = built(f, NULL);
	expect(wrong, F, ENTRY);
	expect(wrong, F + 0x20, rule(CFI_CFA_RSP, 16));
	expect(wrong, F + 0x40, rule(CFI_CFA_RSP, 24));
}

/* A table that is not sorted cannot be searched; all entries are read instead. */
static void unsorted_table(void **state)
{
	_cleanup_free_ struct cfi_file *f = cfi_file_new();
	_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
	size_t cie = cfi_file_usual_cie(f), first, second;

	(void)state;
	first = cfi_file_fde(f, cie, F, 4, NO_BYTES);
	second = cfi_file_fde(f, cie, F + 0x20, 4, BYTES(DEF_OFF(16)));
	cfi_file_fde(f, cie, F + 0x40, 4, BYTES(DEF_OFF(24)));
	cfi_file_pair(f, TEXT_VADDR + 0x120, second);
	cfi_file_pair(f, TEXT_VADDR + 0x100, first);
	t = built(f, NULL);
	expect(t, F, ENTRY);
	expect(t, F + 0x20, rule(CFI_CFA_RSP, 16));
	expect(t, F + 0x40, rule(CFI_CFA_RSP, 24));
}

/* Rows go by the file, whatever the order in memory. */
static void segments(void **state)
{
	_cleanup_free_ struct cfi_file *f = cfi_file_new();
	_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
	Elf64_Phdr *low = &f->programs[P_EH], *high = &f->programs[P_TEXT];
	size_t cie = cfi_file_usual_cie(f);

	(void)state;
	/* One part of the code is in front of the other in the file and behind it in memory. */
	*low = *high;
	low->p_filesz = low->p_memsz = 0x800;
	low->p_vaddr += TEXT_SIZE;
	high->p_offset += 0x800;
	high->p_filesz = high->p_memsz = 0x800;
	cfi_file_fde(f, cie, TEXT_OFFSET + TEXT_SIZE + 0x7f0, 0x20, BYTES(DEF_OFF(16)));
	cfi_file_fde(f, cie, TEXT_OFFSET, 0x10, BYTES(DEF_OFF(16), ADV(8), DEF_OFF(24)));
	t = built(f, NULL);
	expect(t, TEXT_OFFSET + 0x7ef, NONE);
	expect(t, TEXT_OFFSET + 0x7f0, rule(CFI_CFA_RSP, 16));
	expect(t, TEXT_OFFSET + 0x807, rule(CFI_CFA_RSP, 16));
	expect(t, TEXT_OFFSET + 0x808, rule(CFI_CFA_RSP, 24));
	expect(t, TEXT_OFFSET + 0x810, NONE);
	assert_int_equal(t->n_rows, 4); /* the border between them needs none */
}

/* What the linker has dropped is said to be at 0, where a file's header is. */
static void dropped_functions(void **state)
{
	_cleanup_free_ struct cfi_file *f = cfi_file_new();
	_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
	uint64_t zero = TEXT_OFFSET - (uint64_t)TEXT_VADDR;
	size_t cie;

	(void)state;
	f->programs[P_TEXT].p_vaddr = 0;
	cfi_file_debug(f);
	cie = cfi_file_cie(f, "", NO_BYTES);
	cfi_file_plain_fde(f, cie, zero, 0x400, BYTES(DEF_OFF(16)));
	cfi_file_plain_fde(f, cie, zero + 0x100, 0x10, NO_BYTES);
	t = built(f, NULL);
	expect(t, TEXT_OFFSET, NONE);
	expect(t, TEXT_OFFSET + 0x100, ENTRY);
	expect(t, TEXT_OFFSET + 0x110, NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frame_pointer_function),
		cmocka_unit_test(opcodes_of_the_cfa),
		cmocka_unit_test(opcodes_of_registers),
		cmocka_unit_test(unreadable_tail),
		cmocka_unit_test(gaps),
		cmocka_unit_test(overlaps_and_equal_rows),
		cmocka_unit_test(pages_carry_over),
		cmocka_unit_test(signal_frame),
		cmocka_unit_test(augmentations),
		cmocka_unit_test(addresses_of_64_bits),
		cmocka_unit_test(debug_frame),
		cmocka_unit_test(table_of_the_linker),
		cmocka_unit_test(unsorted_table),
		cmocka_unit_test(segments),
		cmocka_unit_test(dropped_functions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
