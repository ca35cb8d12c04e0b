/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Damage of every kind: nothing may crash (run it under the sanitizers), hang or grow, and what
 * fails leaves its outputs alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <cmocka.h>
#include "test_object_elf.h"

#define T (TEST_TEXT + 0x100)

static const struct test_symbol symbols[] = {
	{ "one", T, 0x10, STB_GLOBAL, STT_FUNC, 0 },
	{ "two@@V1", T + 0x10, 0, STB_WEAK, STT_FUNC, 0 },
	{ "three", T + 0x10, 0x20, STB_LOCAL, STT_NOTYPE, 0 },
};

static void build(struct test_elf *e)
{
	test_elf_init(e);
	test_elf_symbols(e, S_SYMTAB, symbols, ARRAY_SIZE(symbols));
	test_elf_symbols(e, S_DYNSYM, symbols, ARRAY_SIZE(symbols));
}

/* Everything that reads, and the invariants of what is read. */
static int read_all(const struct object_source *s)
{
	_cleanup_(symbols_free) struct symbols *t = NULL;
	struct object_info info;
	struct symbol symbol;
	uint64_t vaddr;
	int err;

	err = object_info_read(s, &info);
	if (err)
		return err;
	assert_true(info.n_segments <= OBJECT_SEGMENTS_MAX);
	assert_true(info.build_id_len <= OBJECT_BUILD_ID_MAX);
	assert_true(strnlen(info.debuglink, sizeof(info.debuglink)) < sizeof(info.debuglink));
	err = object_vaddr(&info, 0x300, &vaddr);
	assert_true(!err || err == -ENOENT);
	err = symbols_read(s, &info, &t);
	if (err) {
		assert_null(t);
		return err;
	}
	assert_true(symbols_count(t) > 0);
	for (vaddr = TEST_TEXT - 1; vaddr < T + 0x40; vaddr++)
		if (symbols_find(t, vaddr, &symbol)) {
			assert_true(vaddr - symbol.vaddr < symbol.size);
			assert_in_range(strlen(symbol.name), 1, OBJECT_NAME_MAX);
		}
	(void)symbols_find(t, UINT64_MAX, &symbol);
	return 0;
}

/* The bytes in a block of exactly their size, so that the sanitizer sees each step too far. */
static int read_copy(const struct test_elf *e, size_t len)
{
	struct object_memory m = { malloc(len ? len : 1), len };
	struct object_source s;
	int err;

	assert_non_null(m.data);
	memcpy((void *)(uintptr_t)m.data, e->bytes, len);
	object_source_memory(&s, &m);
	err = read_all(&s);
	free((void *)(uintptr_t)m.data);
	return err;
}

static void every_truncation(void **state)
{
	struct test_elf e;

	(void)state;
	build(&e);
	assert_int_equal(read_copy(&e, e.len), 0);
	for (size_t len = 0; len < e.len; len++) {
		int err = read_copy(&e, len);

		if (len < EI_NIDENT)
			assert_int_equal(err, -ENOEXEC);
		else
			assert_int_equal(err, -EBADMSG);
	}
}

static void every_byte(void **state)
{
	static const unsigned char values[] = { 0x01, 0x80, 0xff, 0x55 };
	struct test_elf e;

	(void)state;
	build(&e);
	for (size_t i = 0; i < e.len; i++)
		for (size_t j = 0; j < ARRAY_SIZE(values); j++) {
			e.bytes[i] ^= values[j];
			(void)read_copy(&e, e.len);
			e.bytes[i] ^= values[j];
		}
}

static void every_word_at_its_limits(void **state)
{
	static const uint64_t values[] = { 0,         1,          INT32_MAX,      UINT32_MAX,
					   INT64_MAX, UINT64_MAX, UINT64_MAX - 63 };
	struct test_elf e;

	(void)state;
	build(&e);
	for (size_t i = 0; i + 8 <= e.len; i += 4)
		for (size_t j = 0; j < ARRAY_SIZE(values); j++) {
			unsigned char saved[8];

			memcpy(saved, e.bytes + i, 8);
			memcpy(e.bytes + i, &values[j], 8);
			(void)read_copy(&e, e.len);
			memcpy(e.bytes + i, saved, 8);
		}
}

static void tables_that_point_at_each_other(void **state)
{
	struct test_elf e;

	(void)state;
	build(&e);
	e.sections[S_SYMTAB].sh_link = S_SYMTAB; /* its own string table */
	assert_int_equal(read_copy(&e, e.len), -EBADMSG);
	e.sections[S_SYMTAB].sh_link = S_COUNT;
	assert_int_equal(read_copy(&e, e.len), -EBADMSG);
	build(&e);
	e.sections[S_STRTAB] = e.sections[S_SYMTAB]; /* overlap, of the right type */
	e.sections[S_STRTAB].sh_type = SHT_STRTAB;
	(void)read_copy(&e, e.len);
	e.sections[S_STRTAB].sh_offset = 0;
	e.sections[S_STRTAB].sh_size = e.len; /* the whole file */
	(void)read_copy(&e, e.len);
	build(&e);
	e.header.e_shstrndx = S_SYMTAB;
	assert_int_equal(read_copy(&e, e.len), 0);
	build(&e);
	e.header.e_shoff = 0; /* the header as a section */
	(void)read_copy(&e, e.len);
	e.header.e_phoff = 0;
	(void)read_copy(&e, e.len);
}

static void sections_of_wrong_sizes(void **state)
{
	struct test_elf e;

	(void)state;
	build(&e);
	e.sections[S_SYMTAB].sh_entsize = 0;
	assert_int_equal(read_copy(&e, e.len), -EBADMSG);
	build(&e);
	e.sections[S_SYMTAB].sh_size = UINT64_MAX;
	assert_int_equal(read_copy(&e, e.len), -EBADMSG);
	build(&e);
	e.sections[S_STRTAB].sh_size = e.len + 1;
	assert_int_equal(read_copy(&e, e.len), -EBADMSG);
	build(&e);
	e.sections[S_STRTAB].sh_size = 0; /* no name is left there */
	assert_int_equal(read_copy(&e, e.len), 0);
	e.sections[S_DYNSTR].sh_size = 0;
	assert_int_equal(read_copy(&e, e.len), -ENOENT);
}

/* Sources that are large without being there, as sparse files are. */
struct sparse {
	const struct test_elf *elf;
	uint64_t reads;
};

static ssize_t read_sparse(void *ctx, void *data, size_t len, uint64_t offset)
{
	struct sparse *s = ctx;
	size_t here = 0;

	s->reads += len;
	if (offset < s->elf->len) {
		here = s->elf->len - offset < len ? s->elf->len - offset : len;
		memcpy(data, s->elf->bytes + offset, here);
	}
	memset((char *)data + here, 0, len - here);
	return (ssize_t)len;
}

static void what_is_read_is_bounded(void **state)
{
	struct test_elf e;
	struct sparse sparse = { .elf = &e };
	struct object_source s = { .read = read_sparse, .ctx = &sparse, .size = 1ULL << 50 };

	(void)state;
	build(&e);
	e.header.e_shnum = 0;
	e.sections[0].sh_size = 1ULL << 40;
	e.sections[S_STRTAB].sh_size = 1ULL << 45;
	e.sections[S_SYMTAB].sh_size = 24ULL << 40;
	e.programs[P_NOTE].p_offset = e.len;
	e.programs[P_NOTE].p_filesz = 1ULL << 45;
	assert_int_equal(read_all(&s), 0);
	assert_true(sparse.reads < 1ULL << 30);
}

/* As many names as bytes, each the tail of one long string: the table stays as small as that. */
static void tails_of_one_string(void **state)
{
	const size_t n = 20000, at = sizeof(((struct test_elf *)0)->bytes);
	struct object_memory m = { .len = at + n * sizeof(Elf64_Sym) + n };
	char *data = calloc(1, m.len), *strings = data + at + n * sizeof(Elf64_Sym);
	Elf64_Sym *entries = (Elf64_Sym *)(data + at);
	struct object_source s;
	struct object_info info;
	struct symbols *t;
	struct symbol symbol;
	struct test_elf e;

	(void)state;
	assert_non_null(data);
	build(&e);
	memset(strings, 'x', n - 1);
	for (size_t i = 0; i < n; i++)
		entries[i] = (Elf64_Sym){ .st_name = (uint32_t)i,
					  .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
					  .st_shndx = S_TEXT,
					  .st_value = T + i % 0x1000,
					  .st_size = 1 };
	e.sections[S_DYNSYM].sh_type = SHT_NULL;
	e.sections[S_SYMTAB].sh_offset = at;
	e.sections[S_SYMTAB].sh_size = n * sizeof(*entries);
	e.sections[S_STRTAB].sh_offset = at + n * sizeof(*entries);
	e.sections[S_STRTAB].sh_size = n;
	memcpy(data, e.bytes, at);
	m.data = data;
	object_source_memory(&s, &m);
	assert_int_equal(object_info_read(&s, &info), 0);
	assert_int_equal(symbols_read(&s, &info, &t), 0);
	assert_int_equal(symbols_count(t), 0x1000);
	assert_true(symbols_bytes(t) <= 0x1000 * 16 + n + 64);
	/* The longest that is allowed belongs to the entry this far from the end. */
	for (size_t i = n - 1 - OBJECT_NAME_MAX; i < n - 1; i += 97) {
		assert_true(symbols_find(t, T + i % 0x1000, &symbol));
		assert_int_equal(symbol.vaddr, T + i % 0x1000);
		assert_in_range(strlen(symbol.name), 1, OBJECT_NAME_MAX);
	}
	symbols_free(t);
	free(data);
}

/* Deterministic noise over the headers and the symbols, some of it plausible. */
static void noise(void **state)
{
	uint64_t random = 88172645463325252ULL;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct test_elf e;

		build(&e);
		for (int i = 0; i < 4; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			e.bytes[EI_NIDENT + random % (e.len - EI_NIDENT)] =
				(unsigned char)(random >> 40);
		}
		(void)read_copy(&e, e.len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_truncation),
		cmocka_unit_test(every_byte),
		cmocka_unit_test(every_word_at_its_limits),
		cmocka_unit_test(tables_that_point_at_each_other),
		cmocka_unit_test(sections_of_wrong_sizes),
		cmocka_unit_test(what_is_read_is_bounded),
		cmocka_unit_test(tails_of_one_string),
		cmocka_unit_test(noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
