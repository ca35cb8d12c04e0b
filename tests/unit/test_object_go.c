/* SPDX-License-Identifier: BSD-2-Clause */
/* Names and unwind rows from .gopclntab: in files built here, whole ones and damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <cmocka.h>
#include "test_object_go.h"

/* The address of a function's byte, by its name. */
static uint64_t at(const char *name, uint64_t byte)
{
	for (size_t i = 0; i < GO_N_FUNCS; i++)
		if (!strcmp(go_test_funcs[i].name, name))
			return GO_TEXT + i * GO_FUNC_SIZE + byte;
	fail();
	return 0;
}

/* Both readers over one source; either may be left NULL by damage. */
static void read_both(const struct object_source *s, struct symbols **symbols,
		      struct cfi_table **rows)
{
	_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
	struct object_info info;
	struct cfi_stats stats;
	struct cfi_sink sink;

	*symbols = NULL;
	*rows = NULL;
	if (object_info_read(s, &info))
		return;
	if (symbols_read(s, &info, symbols))
		assert_null(*symbols);
	assert_int_equal(cfi_table_new(&t), 0);
	cfi_table_sink(t, &sink);
	if (!cfi_build(s, &info, &sink, &stats))
		*rows = TAKE_PTR(t);
}

static void assert_rule(const struct cfi_table *t, uint64_t vaddr, struct cfi_rule wanted)
{
	struct cfi_rule r = cfi_lookup(t, vaddr - GO_TEXT + GO_TEXT_OFFSET);

	assert_int_equal(r.cfa_type, wanted.cfa_type);
	assert_int_equal(r.cfa_off, wanted.cfa_off);
	assert_int_equal(r.rbp_type, wanted.rbp_type);
	assert_int_equal(r.rbp_off, wanted.rbp_off);
}

#define SAME(n)  ((struct cfi_rule){ n, 0, CFI_CFA_RSP, CFI_RBP_SAME })
#define SAVED(n) ((struct cfi_rule){ n, -16, CFI_CFA_RSP, CFI_RBP_CFA })
#define LOST(n)  ((struct cfi_rule){ n, 0, CFI_CFA_RSP, CFI_RBP_LOST })
#define ONLY(t)  ((struct cfi_rule){ 0, 0, t, 0 })

static void check_rows(const struct cfi_table *t)
{
	assert_rule(t, GO_TEXT, ONLY(CFI_CFA_STOP));
	assert_rule(t, at("main.main", 0), SAME(8));
	assert_rule(t, at("main.main", 1), SAVED(16));
	assert_rule(t, at("main.main", 8), SAVED(32));
	assert_rule(t, at("main.main", 27), SAVED(32));
	assert_rule(t, at("main.main", 28), SAVED(16));
	assert_rule(t, at("main.main", 29), SAME(8));
	assert_rule(t, at("main.older", 3), SAME(8));
	assert_rule(t, at("main.older", 4), SAME(32));
	assert_rule(t, at("main.older", 9), SAVED(32));
	assert_rule(t, at("main.older", 34), SAME(8));
	assert_rule(t, at("main.least", 4), SAME(16));
	assert_rule(t, at("main.least", 8), SAVED(16));
	assert_rule(t, at("main.leaf", 0), SAME(8));
	assert_rule(t, at("main.leaf", 63), SAME(8));
	assert_rule(t, at("main.assembly", 0), SAME(8));
	assert_rule(t, at("main.assembly", 1), LOST(16));
	assert_rule(t, at("runtime.systemstack", 1), SAME(8));
	assert_rule(t, at("runtime.systemstack", 4), ONLY(CFI_CFA_NONE));
	assert_rule(t, at("runtime.mcall", 1), SAME(8));
	assert_rule(t, at("runtime.mcall", 6), ONLY(CFI_CFA_STOP));
	assert_rule(t, at("runtime.goexit", 0), ONLY(CFI_CFA_STOP));
	assert_rule(t, at("runtime.goexit", 62), ONLY(CFI_CFA_STOP));
	/* The byte before it: its address is on the stack, but nothing has called it. */
	assert_rule(t, at("runtime.sigreturn", 0) - 1, ONLY(CFI_CFA_SIGNAL));
	assert_rule(t, at("runtime.sigreturn", 63), ONLY(CFI_CFA_SIGNAL));
	assert_rule(t, at("main.unknown", 0), ONLY(CFI_CFA_NONE));
	assert_rule(t, at("main.unknown", 64), ONLY(CFI_CFA_NONE));
}

static void check_names(const struct symbols *t)
{
	struct symbol s;

	assert_int_equal(symbols_count(t), GO_N_FUNCS);
	for (size_t i = 0; i < GO_N_FUNCS; i++) {
		uint64_t vaddr = GO_TEXT + i * GO_FUNC_SIZE;

		assert_true(symbols_find(t, vaddr + 63, &s));
		assert_string_equal(s.name, go_test_funcs[i].name);
		assert_int_equal(s.vaddr, vaddr);
		assert_int_equal(s.size, GO_FUNC_SIZE);
	}
	assert_false(symbols_find(t, GO_TEXT + GO_N_FUNCS * GO_FUNC_SIZE, &s));
}

static void check_all(struct go_file *f)
{
	struct cfi_table *rows;
	struct symbols *t;

	read_both(&f->source, &t, &rows);
	assert_non_null(t);
	assert_non_null(rows);
	check_names(t);
	check_rows(rows);
	symbols_free(t);
	cfi_table_free(rows);
}

static void assert_no_table(struct go_file *f)
{
	struct cfi_table *rows;
	struct symbols *t;

	read_both(&f->source, &t, &rows);
	assert_null(t);
	assert_null(rows);
}

static void both_formats(void **state)
{
	struct go_file f;

	(void)state;
	go_file_init(&f, GO_MAGIC_118);
	check_all(&f);
	go_file_init(&f, GO_MAGIC_120);
	check_all(&f);
	go_file_init(&f, 0xfffffffaU); /* of Go 1.16 */
	assert_no_table(&f);
}

static void where_the_text_starts(void **state)
{
	struct go_file f;

	(void)state;
	go_file_init(&f, GO_MAGIC_120);
	go_file_put(&f, 24, 0, 8);
	check_all(&f); /* .text, since the entry point is right */
	f.header.e_entry += GO_FUNC_SIZE;
	assert_no_table(&f);
	memcpy(f.bytes + GO_MODULE_FILE + 0xb0, &(uint64_t){ GO_TEXT }, 8);
	check_all(&f);
	memcpy(f.bytes + GO_MODULE_FILE + 0xb0, &(uint64_t){ GO_TEXT + 0x1000 }, 8);
	assert_no_table(&f);
}

static void inside_of_another_section(void **state)
{
	struct go_file f;

	(void)state;
	go_file_init(&f, GO_MAGIC_118);
	f.sections[S_PCLN].sh_name = 29; /* .data.rel.ro */
	f.sections[S_PCLN].sh_offset -= 0x60;
	f.sections[S_PCLN].sh_addr -= 0x60;
	f.sections[S_PCLN].sh_size += 0x60;
	assert_no_table(&f);               /* no Go program, as far as one sees */
	f.sections[S_MODULE].sh_name = 42; /* .go.buildinfo */
	check_all(&f);
}

static void a_symtab_is_better(void **state)
{
	struct object_info info;
	struct symbols *t = NULL;
	struct go_file f;

	(void)state;
	go_file_init(&f, GO_MAGIC_120);
	f.sections[S_MODULE].sh_type = SHT_SYMTAB;
	f.sections[S_MODULE].sh_size = 0;
	assert_int_equal(object_info_read(&f.source, &info), 0);
	assert_int_equal(symbols_read(&f.source, &info, &t), -ENOENT);
}

/* Whatever comes out of damage keeps its promises. */
static void read_damaged(const struct go_file *f, size_t len)
{
	struct object_memory m = { malloc(len ? len : 1), len };
	struct cfi_table *rows;
	struct object_source s;
	struct symbols *t;
	struct symbol symbol;

	assert_non_null(m.data);
	memcpy((void *)(uintptr_t)m.data, f->bytes, len);
	object_source_memory(&s, &m);
	read_both(&s, &t, &rows);
	for (uint64_t v = GO_TEXT; t && v < GO_TEXT + 0x300; v += 8)
		if (symbols_find(t, v, &symbol))
			assert_in_range(strlen(symbol.name), 1, OBJECT_NAME_MAX);
	for (uint32_t i = 1; rows && i < rows->n_rows; i++)
		assert_true(rows->rows[i - 1] >> 16 < rows->rows[i] >> 16 || rows->n_pages > 1);
	symbols_free(t);
	cfi_table_free(rows);
	free((void *)(uintptr_t)m.data);
}

static void every_truncation(void **state)
{
	struct go_file f;

	(void)state;
	go_file_init(&f, GO_MAGIC_120);
	for (size_t len = 0; len < sizeof(f.bytes); len += 3)
		read_damaged(&f, len);
	/* A table that ends early in a file that is whole. */
	for (size_t len = 0; len < GO_TABLE_BYTES; len++) {
		f.sections[S_PCLN].sh_size = len;
		read_damaged(&f, sizeof(f.bytes));
	}
}

static void every_byte(void **state)
{
	static const unsigned char values[] = { 0x01, 0x80, 0xff, 0x55 };
	struct go_file f;

	(void)state;
	go_file_init(&f, GO_MAGIC_118);
	for (size_t i = 0; i < GO_TEXT_OFFSET + GO_N_FUNCS * GO_FUNC_SIZE; i++)
		for (size_t j = 0; j < ARRAY_SIZE(values); j++) {
			f.bytes[i] ^= values[j];
			read_damaged(&f, sizeof(f.bytes));
			f.bytes[i] ^= values[j];
		}
}

static void every_word_at_its_limits(void **state)
{
	static const uint64_t values[] = { 0,         1,          INT32_MAX,      UINT32_MAX,
					   INT64_MAX, UINT64_MAX, UINT64_MAX - 63 };
	struct go_file f;

	(void)state;
	go_file_init(&f, GO_MAGIC_120);
	for (size_t i = 0; i < GO_TABLE_BYTES; i += 4)
		for (size_t j = 0; j < ARRAY_SIZE(values); j++) {
			unsigned char saved[8];

			memcpy(saved, f.table + i, 8);
			memcpy(f.table + i, &values[j], 8);
			read_damaged(&f, sizeof(f.bytes));
			memcpy(f.table + i, saved, 8);
		}
}

/* All parts at one place, functions in the wrong order or on top of each other. */
static void parts_that_overlap(void **state)
{
	struct go_file f;

	(void)state;
	go_file_init(&f, GO_MAGIC_120);
	for (size_t i = 32; i <= 64; i += 8)
		go_file_put(&f, i, 0, 8);
	read_damaged(&f, sizeof(f.bytes));
	go_file_init(&f, GO_MAGIC_120);
	go_file_put(&f, 56, GO_TABLE_AT, 8); /* no pcsp is left */
	read_damaged(&f, sizeof(f.bytes));
	go_file_init(&f, GO_MAGIC_120);
	for (size_t i = 0; i < GO_N_FUNCS; i++) {
		uint32_t start = (uint32_t)(i % 2 ? 0 : (GO_N_FUNCS - i) * GO_FUNC_SIZE);

		go_file_put(&f, GO_TABLE_AT + 8 * i, start, 4);
		go_file_put(&f, GO_TABLE_AT + GO_FUNCS_AT + 44 * i, start, 4);
	}
	read_damaged(&f, sizeof(f.bytes));
	go_file_init(&f, GO_MAGIC_120);
	for (size_t i = 0; i < GO_N_FUNCS; i++) /* all of them the first one */
		go_file_put(&f, GO_TABLE_AT + 8 * i + 4, GO_FUNCS_AT, 4);
	read_damaged(&f, sizeof(f.bytes));
}

static void too_many_functions(void **state)
{
	struct cfi_table *rows;
	struct symbols *t;
	struct go_file f;

	(void)state;
	go_file_init(&f, GO_MAGIC_120);
	go_file_put(&f, 8, CFI_FDES_MAX + 1ULL, 8);
	read_both(&f.source, &t, &rows);
	assert_null(t);
	assert_null(rows);
}

/* Deterministic noise in the table. */
static void noise(void **state)
{
	uint64_t random = 88172645463325252ULL;
	struct go_file f;

	(void)state;
	for (int round = 0; round < 5000; round++) {
		go_file_init(&f, round % 2 ? GO_MAGIC_118 : GO_MAGIC_120);
		for (int i = 0; i < 6; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			f.table[8 + random % (GO_TABLE_BYTES - 8)] = (unsigned char)(random >> 40);
		}
		read_damaged(&f, sizeof(f.bytes));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_formats),
		cmocka_unit_test(where_the_text_starts),
		cmocka_unit_test(inside_of_another_section),
		cmocka_unit_test(a_symtab_is_better),
		cmocka_unit_test(every_truncation),
		cmocka_unit_test(every_byte),
		cmocka_unit_test(every_word_at_its_limits),
		cmocka_unit_test(parts_that_overlap),
		cmocka_unit_test(too_many_functions),
		cmocka_unit_test(noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
