/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unwind information that is damaged or made to hurt, the limits, and the libraries of this
 * machine. Run it under the sanitizers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include "object/cfi_parts.h"
#include "test_object_cfi.h"

#define F (TEXT_OFFSET + 0x100)

/* One of everything, in .eh_frame with its table or in .debug_frame alone. */
static struct cfi_file *rich_file(bool debug)
{
	struct cfi_file *f = cfi_file_new();
	size_t cie, signal;

	if (debug) {
		cfi_file_debug(f);
		cie = cfi_file_cie(f, "", NO_BYTES);
		cfi_file_plain_fde(f, cie, F, 0x20, BYTES(ADV(1), DEF_OFF(16), OFFSET(6, 2)));
		cfi_file_plain_fde(f, cie, F + 0x20, 0x20, BYTES(0x02, 9, 0x0a, DEF_REG(6)));
		return f;
	}
	cie = cfi_file_cie(f, "zPLR", BYTES(0x9b, 1, 2, 3, 4, 0x1b, 0x1b));
	cfi_file_pair(f, TEXT_VADDR + 0x100,
		      cfi_file_fde(f, cie, F, 0x40,
				   BYTES(ADV(1), DEF_OFF(16), OFFSET(6, 2), 0x02, 3, DEF_REG(6),
					 0x0a, 0x03, 4, 0, 0x0b, 0x0f, 5, 0x76, 0x78, 0x06, 0x23, 8,
					 ADV(3), 0x10, 6, 2, 0x76, 0, 0x2e, 8)));
	signal = cfi_file_cie(f, "zRS", BYTES(0x1b));
	cfi_file_pair(f, TEXT_VADDR + 0x150,
		      cfi_file_fde(f, signal, F + 0x50, 9,
				   BYTES(0x0f, 4, 0x77, 0xa0, 0x01, 0x06, 0x16, 6, 2, 0x77, 0)));
	cfi_file_pair(f, TEXT_VADDR + 0x8000,
		      cfi_file_fde(f, cie, TEXT_OFFSET + 0x8000, 0x12000,
				   BYTES(0x04, 0, 0, 1, 0, DEF_CFA(7, 0x80), 1, 0x12, 7, 0x70)));
	return f;
}

/* Whatever it is made of, a table is sound and a failure has no result. */
static int try_build(struct cfi_file *f, size_t len)
{
	_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
	struct cfi_stats stats;
	int err = cfi_file_build(f, len, &t, &stats);

	if (err) {
		assert_null(t);
		return err;
	}
	cfi_check_table(t);
	assert_int_equal(stats.rows, t->n_rows);
	assert_true(stats.unread <= stats.fdes);
	for (uint64_t offset = F - 2; offset < F + 0x60; offset++)
		(void)cfi_lookup(t, offset);
	return 0;
}

static void truncated_sections(void **state)
{
	(void)state;
	for (int i = S_EH; i <= S_DEBUG; i++) {
		_cleanup_free_ struct cfi_file *f = rich_file(i == S_DEBUG);
		uint64_t size = f->sections[i].sh_size;

		assert_int_equal(try_build(f, FILE_BYTES), 0);
		for (uint64_t n = 0; n < size; n++) {
			f->sections[i].sh_size = n;
			if (i == S_HDR)
				f->programs[P_HDR].p_filesz = n;
			/* Without its table .eh_frame is read from end to end. */
			if (i == S_HDR)
				assert_int_equal(try_build(f, FILE_BYTES), 0);
			else
				(void)try_build(f, FILE_BYTES);
		}
	}
}

static void truncated_files(void **state)
{
	_cleanup_free_ struct cfi_file *f = rich_file(false);
	size_t end = HDR_OFFSET + f->sections[S_HDR].sh_size;

	(void)state;
	for (size_t len = 0; len <= end; len += len % SECTION_BYTES < 0x200 ? 1 : 0x40)
		(void)try_build(f, len);
	for (size_t len = TEXT_OFFSET; len < TEXT_OFFSET + 0x180; len++)
		assert_int_equal(try_build(f, len), 0);
}

static void every_byte(void **state)
{
	static const unsigned char values[] = { 0x01, 0x80, 0xff, 0x3f };

	(void)state;
	for (int i = S_EH; i <= S_DEBUG; i++) {
		_cleanup_free_ struct cfi_file *f = rich_file(i == S_DEBUG);
		unsigned char *at = f->bytes + f->sections[i].sh_offset;

		for (size_t n = 0; n < f->sections[i].sh_size; n++)
			for (size_t j = 0; j < ARRAY_SIZE(values); j++) {
				at[n] ^= values[j];
				(void)try_build(f, FILE_BYTES);
				at[n] ^= values[j];
			}
	}
}

static void every_word_at_its_limits(void **state)
{
	static const uint64_t values[] = { 0,         INT32_MAX,  UINT32_MAX,
					   INT64_MAX, UINT64_MAX, 0x8080808080808080 };

	(void)state;
	for (int i = S_EH; i <= S_DEBUG; i++) {
		_cleanup_free_ struct cfi_file *f = rich_file(i == S_DEBUG);
		unsigned char *at = f->bytes + f->sections[i].sh_offset, keep[8];

		for (size_t n = 0; n < f->sections[i].sh_size; n++)
			for (size_t j = 0; j < ARRAY_SIZE(values); j++) {
				memcpy(keep, at + n, sizeof(keep));
				memcpy(at + n, &values[j], sizeof(keep));
				(void)try_build(f, FILE_BYTES);
				memcpy(at + n, keep, sizeof(keep));
			}
	}
}

static void every_header_at_its_limits(void **state)
{
	static const uint64_t values[] = { 0, 1, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX };
	_cleanup_free_ struct cfi_file *f = rich_file(false);
	size_t end = f->header.e_shoff + S_COUNT * sizeof(Elf64_Shdr);

	(void)state;
	for (size_t n = sizeof(Elf64_Ehdr); n + 8 <= end; n += 4)
		for (size_t j = 0; j < ARRAY_SIZE(values); j++) {
			unsigned char keep[8];

			memcpy(keep, f->bytes + n, sizeof(keep));
			memcpy(f->bytes + n, &values[j], sizeof(keep));
			(void)try_build(f, FILE_BYTES);
			memcpy(f->bytes + n, keep, sizeof(keep));
		}
}

/* A CIE pointer to itself, to another FDE, before the section. */
static void cyclic_cies(void **state)
{
	static const uint32_t pointers[] = { 4, 0x18 + 4, 0x20, 1, UINT32_MAX, INT32_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pointers); i++) {
		_cleanup_free_ struct cfi_file *f = cfi_file_new();
		size_t cie = cfi_file_usual_cie(f), fde;

		cfi_file_fde(f, cie, F, 8, NO_BYTES);
		fde = cfi_file_fde(f, cie, F + 8, 8, NO_BYTES);
		memcpy(f->bytes + fde + 4, &pointers[i], sizeof(pointers[i]));
		assert_int_equal(try_build(f, FILE_BYTES), 0);
	}
}

/* Versions and return address columns that nobody has on this machine. */
static void other_cies(void **state)
{
	static const struct {
		size_t at;
		unsigned char value;
	} cases[] = { { 8, 2 }, { 8, 5 }, { 14, 5 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ struct cfi_file *f = cfi_file_new();
		struct cfi_table *t = NULL;
		size_t cie = cfi_file_usual_cie(f);

		cfi_file_fde(f, cie, F, 4, NO_BYTES);
		f->bytes[cie + cases[i].at] = cases[i].value;
		assert_int_equal(cfi_file_build(f, FILE_BYTES, &t, NULL), -ENOENT);
		assert_null(t);
	}
}

static void endless_augmentation(void **state)
{
	_cleanup_free_ struct cfi_file *f = cfi_file_new();
	size_t cie = cfi_file_usual_cie(f);

	(void)state;
	cfi_file_fde(f, cie, F, 8, NO_BYTES);
	memset(f->bytes + cie + 9, 'z', f->at - cie - 9);
	assert_int_equal(try_build(f, FILE_BYTES), -ENOENT);
}

static void nested_states(void **state)
{
	(void)state;
	for (size_t n = CFI_STATES_MAX; n <= CFI_STATES_MAX + 1; n++) {
		_cleanup_free_ struct cfi_file *f = cfi_file_new();
		_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
		unsigned char program[CFI_STATES_MAX + 1];
		size_t cie = cfi_file_usual_cie(f);

		memset(program, 0x0a, sizeof(program));
		cfi_file_fde(f, cie, F, 8, program, n);
		assert_int_equal(cfi_file_build(f, FILE_BYTES, &t, NULL), 0);
		assert_int_equal(cfi_lookup(t, F).cfa_type,
				 n > CFI_STATES_MAX ? CFI_CFA_UNSUPPORTED : CFI_CFA_RSP);
	}
}

/* FDEs inside of each other: as much work as there are pairs of them, if nobody counted it. */
static void nested_entries(void **state)
{
	_cleanup_free_ struct cfi_file *f = cfi_file_new();
	size_t cie = cfi_file_usual_cie(f), end = EH_OFFSET + SECTION_BYTES;

	(void)state;
	for (uint32_t i = 0; f->at + 0x40 < end; i++) {
		size_t fde = cfi_file_fde(f, cie, F + i, 1, NO_BYTES);
		uint32_t len = (uint32_t)(end - fde - 4);

		memcpy(f->bytes + fde, &len, sizeof(len));
		cfi_file_pair(f, TEXT_VADDR + 0x100 + i, fde);
	}
	f->sections[S_EH].sh_size = SECTION_BYTES;
	assert_int_equal(try_build(f, FILE_BYTES), -E2BIG);
}

/* Rows for every byte of a page are one more than a page has. */
static void a_row_for_every_byte(void **state)
{
	_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
	_cleanup_free_ struct cfi_rows *rows = malloc(sizeof(*rows));
	struct cfi_sink sink;

	(void)state;
	assert_non_null(rows);
	assert_int_equal(cfi_table_new(&t), 0);
	cfi_table_sink(t, &sink);
	cfi_rows_init(rows, &sink);
	for (uint64_t i = 0; i < 3 << CFI_PAGE_SHIFT; i++) {
		struct cfi_rule rule = { .cfa_type = CFI_CFA_RSP, .cfa_off = i & 7 };

		cfi_rows_add(rows, i, &rule);
	}
	assert_int_equal(cfi_rows_finish(rows), 0);
	cfi_check_table(t);
	assert_int_equal(t->n_pages, 3);
	assert_int_equal(t->pages[1].n, CFI_PAGE_ROWS_MAX);
	assert_int_equal(cfi_lookup(t, 0x1fffd).cfa_off, 5);
	assert_int_equal(cfi_lookup(t, 0x1fffe).cfa_type, CFI_CFA_UNSUPPORTED);
	assert_int_equal(cfi_lookup(t, 0x1ffff).cfa_type, CFI_CFA_UNSUPPORTED);
	assert_int_equal(cfi_lookup(t, 0x20001).cfa_off, 1);
}

static void more_rules_than_numbers(void **state)
{
	_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
	struct cfi_sink sink;

	(void)state;
	assert_int_equal(cfi_table_new(&t), 0);
	cfi_table_sink(t, &sink);
	for (int32_t i = 0; i <= CFI_RULES_MAX; i++) {
		struct cfi_rule rule = { .cfa_type = CFI_CFA_RSP, .cfa_off = i };

		assert_int_equal(sink.rule(t, &rule), i < CFI_RULES_MAX ? i : -ENOSPC);
	}
	assert_int_equal(sink.rule(t, &(struct cfi_rule){ 7, 0, CFI_CFA_RSP, 0 }), 7);
}

static int refuse_rule(void *ctx, const struct cfi_rule *rule)
{
	(void)ctx;
	return rule->cfa_type == CFI_CFA_RBP ? -EXFULL : 0;
}

static int take_page(void *ctx, uint32_t page, const uint32_t *rows, uint32_t n)
{
	(void)ctx;
	(void)rows;
	(void)n;
	return page == 2 ? -EDQUOT : 0;
}

static int accept_rule(void *ctx, const struct cfi_rule *rule)
{
	(void)ctx;
	return rule->cfa_type;
}

static ssize_t fail_read(void *ctx, void *data, size_t len, uint64_t offset)
{
	struct object_source *inner = ctx;

	return offset >= EH_OFFSET ? -EIO : inner->read(inner->ctx, data, len, offset);
}

static void errors_of_others(void **state)
{
	_cleanup_free_ struct cfi_file *f = rich_file(false);
	struct cfi_sink sink = { .rule = refuse_rule, .page = take_page };
	struct object_source failing;
	struct object_info info;
	struct cfi_stats stats = { .fdes = 77 };

	(void)state;
	f->memory = (struct object_memory){ f->bytes, FILE_BYTES };
	object_source_memory(&f->source, &f->memory);
	assert_int_equal(object_info_read(&f->source, &info), 0);
	assert_int_equal(cfi_build(&f->source, &info, &sink, &stats), -EXFULL);
	sink.rule = accept_rule;
	assert_int_equal(cfi_build(&f->source, &info, &sink, &stats), -EDQUOT);
	failing = (struct object_source){ fail_read, &f->source, f->source.size };
	assert_int_equal(cfi_build(&failing, &info, &sink, &stats), -EIO);
	info.machine = EM_AARCH64;
	assert_int_equal(cfi_build(&f->source, &info, &sink, &stats), -ENOTSUP);
	assert_int_equal(stats.fdes, 77);
	f->sections[S_EH].sh_size = 0;
	f->programs[P_HDR].p_filesz = 0;
	assert_int_equal(try_build(f, FILE_BYTES), -ENOENT);
}

/* At the entry of a function the CFA is rsp + 8, and rbp is the caller's. */
static void check_library(const char *name, const char *const *functions)
{
	_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
	void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
	struct object_source source;
	struct object_info info;
	struct cfi_stats stats;
	struct link_map *map;
	struct cfi_sink sink;
	_cleanup_close_ int fd = -1;

	if (!library)
		return;
	assert_int_equal(dlinfo(library, RTLD_DI_LINKMAP, &map), 0);
	fd = open(map->l_name, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(object_source_fd(&source, fd), 0);
	assert_int_equal(object_info_read(&source, &info), 0);
	if (info.machine != EM_X86_64) {
		dlclose(library);
		return;
	}
	assert_int_equal(cfi_table_new(&t), 0);
	cfi_table_sink(t, &sink);
	assert_int_equal(cfi_build(&source, &info, &sink, &stats), 0);
	cfi_check_table(t);
	assert_int_equal(stats.unread, 0);
	assert_true(stats.fdes > 1000);
	assert_true(stats.rows > 2 * stats.fdes && stats.rows < 20 * stats.fdes);
	for (; *functions; functions++) {
		uint64_t vaddr = (uint64_t)(uintptr_t)dlsym(library, *functions) - map->l_addr;

		for (size_t i = 0; i < info.n_segments; i++) {
			const struct object_segment *s = &info.segments[i];
			struct cfi_rule rule;

			if (!s->executable || vaddr - s->vaddr >= s->size)
				continue;
			rule = cfi_lookup(t, vaddr - s->vaddr + s->offset);
			assert_int_equal(rule.cfa_type, CFI_CFA_RSP);
			assert_int_equal(rule.cfa_off, 8);
			assert_int_equal(rule.rbp_type, CFI_RBP_SAME);
		}
	}
	dlclose(library);
}

static void libraries_of_this_machine(void **state)
{
	static const char *const c[] = { "fputs", "bsearch", "nanosleep", "getenv", NULL };
	static const char *const cpp[] = { "_ZSt9terminatev", "__cxa_throw", NULL };

	(void)state;
	check_library("libc.so.6", c);
	check_library("libstdc++.so.6", cpp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(truncated_sections),
		cmocka_unit_test(truncated_files),
		cmocka_unit_test(every_byte),
		cmocka_unit_test(every_word_at_its_limits),
		cmocka_unit_test(every_header_at_its_limits),
		cmocka_unit_test(cyclic_cies),
		cmocka_unit_test(other_cies),
		cmocka_unit_test(endless_augmentation),
		cmocka_unit_test(nested_states),
		cmocka_unit_test(nested_entries),
		cmocka_unit_test(a_row_for_every_byte),
		cmocka_unit_test(more_rules_than_numbers),
		cmocka_unit_test(errors_of_others),
		cmocka_unit_test(libraries_of_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
