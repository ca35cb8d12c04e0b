/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables that another process has made: whatever their bytes are, looking things up is safe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include "object/flat.h"
#include "object/symbols.h"
#include "symd/protocol.h"
#include "test_object_elf.h"

struct bytes {
	unsigned char *data;
	size_t len;
};

static struct bytes join(const struct flat *f)
{
	struct bytes b = { malloc(f->size), f->size };
	size_t at = 0;

	assert_non_null(b.data);
	for (int i = 0; i < f->n_parts; i++) {
		memcpy(b.data + at, f->parts[i].iov_base, f->parts[i].iov_len);
		at += f->parts[i].iov_len;
	}
	assert_int_equal(at, b.len);
	return b;
}

/* Of exactly this size, so that a sanitizer sees the first byte past the end. */
static unsigned char *cut(const struct bytes *b, size_t len)
{
	unsigned char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, b->data, len);
	return copy;
}

static const struct test_symbol some_symbols[] = {
	{ "alpha", TEST_TEXT + 0x100, 0x40, STB_GLOBAL, STT_FUNC, 0 },
	{ "beta", TEST_TEXT + 0x200, 0x80, STB_LOCAL, STT_FUNC, 0 },
	{ "inner", TEST_TEXT + 0x210, 0x10, STB_WEAK, STT_FUNC, 0 },
	{ "label", TEST_TEXT + 0x300, 0, STB_LOCAL, STT_NOTYPE, 0 },
};

static struct symbols *read_symbols(struct test_elf *e)
{
	struct object_info info;
	struct symbols *t;

	test_elf_init(e);
	test_elf_symbols(e, S_SYMTAB, some_symbols, ARRAY_SIZE(some_symbols));
	assert_int_equal(object_info_read(&e->source, &info), 0);
	assert_int_equal(symbols_read(&e->source, &info, &t), 0);
	return t;
}

/* Returns how many addresses have a name. */
static size_t use_symbols(const struct symbols *t)
{
	size_t named = 0, len = 0;
	struct symbol s;

	for (uint64_t at = TEST_TEXT; at < TEST_TEXT + TEST_TEXT_SIZE; at += 8) {
		if (!symbols_find(t, at, &s))
			continue;
		assert_true(at - s.vaddr < s.size);
		len += strlen(s.name);
		named++;
	}
	(void)symbols_find(t, 0, &s);
	(void)symbols_find(t, UINT64_MAX, &s);
	return len ? named : 0;
}

/* 0: refused. */
static size_t try_symbols(const unsigned char *data, size_t len)
{
	struct symbols *view;
	size_t n;

	if (flat_symbols_view(data, len, &view))
		return 0;
	n = use_symbols(view) + 1;
	(void)symbols_free(view);
	return n;
}

static void test_symbols(void **state)
{
	struct test_elf *e = calloc(1, sizeof(*e));
	struct symbols *t = read_symbols(e), *view;
	struct symbol a, b;
	struct bytes all;
	struct flat f;

	(void)state;
	flat_symbols(t, &f);
	all = join(&f);
	assert_int_equal(flat_symbols_view(all.data, all.len, &view), 0);
	assert_int_equal(symbols_count(view), symbols_count(t));
	for (uint64_t at = TEST_TEXT; at < TEST_TEXT + TEST_TEXT_SIZE; at++) {
		bool found = symbols_find(t, at, &a);

		assert_int_equal(symbols_find(view, at, &b), found);
		if (!found)
			continue;
		assert_string_equal(a.name, b.name);
		assert_int_equal(a.vaddr, b.vaddr);
		assert_int_equal(a.size, b.size);
	}
	for (size_t len = 0; len < all.len; len++) {
		unsigned char *copy = cut(&all, len);

		assert_int_equal(try_symbols(copy, len), 0);
		free(copy);
	}
	(void)symbols_free(view);
	(void)symbols_free(t);
	free(all.data);
	free(e);
}

static void test_symbols_bent(void **state)
{
	struct test_elf *e = calloc(1, sizeof(*e));
	struct symbols *t = read_symbols(e);
	size_t refused = 0;
	struct bytes all;
	struct flat f;

	(void)state;
	flat_symbols(t, &f);
	all = join(&f);
	for (size_t i = 0; i < all.len * 8; i++) {
		unsigned char *copy = cut(&all, all.len);

		copy[i / 8] ^= (unsigned char)(1U << i % 8);
		refused += !try_symbols(copy, all.len);
		memset(copy + i / 8, i % 2 ? 0xff : 0, all.len - i / 8 < 8 ? all.len - i / 8 : 8);
		(void)try_symbols(copy, all.len);
		free(copy);
	}
	assert_true(refused > 8 * sizeof(struct flat_symbols) - 1);
	(void)symbols_free(t);
	free(all.data);
	free(e);
}

struct small_table {
	struct flat_symbols head;
	struct symbol_entry entries[2];
	char names[8];
};

static void test_symbols_rules(void **state)
{
	const struct small_table good = {
		.head = { FLAT_SYMBOLS_MAGIC, 2, 8 },
		.entries = { { .vaddr = 16, .size = 8, .name = 0 },
			     { .vaddr = 32, .size = 8, .name = 4 } },
		.names = "abc\0def",
	};
	struct small_table bad[] = { good, good, good, good, good, good, good, good };

	(void)state;
	assert_true(try_symbols((const void *)&good, sizeof(good)));
	bad[0].entries[1].vaddr = 16; /* two at one address */
	bad[1].entries[1].vaddr = 8;  /* not in order */
	bad[2].entries[0].size = 0;
	bad[3].entries[1].vaddr = UINT64_MAX - 4; /* its end is past the last address */
	bad[4].entries[1].name = 8;
	bad[5].names[7] = 'g';
	bad[6].head.count = 0;
	bad[7].head.names_len = UINT64_MAX;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(try_symbols((const void *)&bad[i], sizeof(bad[i])), 0);
}

/* A name longer than the reader of files would ever let through. */
static void test_symbols_long_name(void **state)
{
	size_t names = OBJECT_NAME_MAX + 2, len;
	struct symbol_entry entry = { .vaddr = 16, .size = 8 };
	struct flat_symbols head = { FLAT_SYMBOLS_MAGIC, 1, names };
	unsigned char *data;

	(void)state;
	len = sizeof(head) + sizeof(entry) + names;
	data = calloc(1, len);
	assert_non_null(data);
	memcpy(data, &head, sizeof(head));
	memcpy(data + sizeof(head), &entry, sizeof(entry));
	memset(data + sizeof(head) + sizeof(entry), 'x', names - 1);
	assert_int_equal(try_symbols(data, len), 0);
	data[len - 2] = '\0';
	assert_true(try_symbols(data, len));
	free(data);
}

static const uint32_t rows_0[] = { 0, 0x10 << 16 | 1, 0x20 << 16 | 2 };
static const uint32_t rows_2[] = { 2, 0xffffU << 16 | 0 };

static struct cfi_table *make_rows(void)
{
	const struct cfi_rule rules[] = { { .cfa_type = CFI_CFA_RSP, .cfa_off = 8 },
					  { .cfa_type = CFI_CFA_RBP, .rbp_type = CFI_RBP_CFA },
					  { .cfa_type = CFI_CFA_NONE } };
	struct cfi_table *t;
	struct cfi_sink sink;

	assert_int_equal(cfi_table_new(&t), 0);
	cfi_table_sink(t, &sink);
	for (int i = 0; i < (int)ARRAY_SIZE(rules); i++)
		assert_int_equal(sink.rule(sink.ctx, &rules[i]), i);
	assert_int_equal(sink.page(sink.ctx, 3, rows_0, ARRAY_SIZE(rows_0)), 0);
	assert_int_equal(sink.page(sink.ctx, 5, rows_2, ARRAY_SIZE(rows_2)), 0);
	return t;
}

static void use_rows(const struct cfi_table *t)
{
	for (uint64_t at = 0; at < 8ULL << CFI_PAGE_SHIFT; at += 61) {
		struct cfi_rule r = cfi_lookup(t, at);

		assert_true(r.cfa_type <= CFI_CFA_RA_RDI && r.rbp_type <= CFI_RBP_LOST);
	}
	(void)cfi_lookup(t, UINT64_MAX);
}

static bool try_rows(const unsigned char *data, size_t len)
{
	struct cfi_stats stats;
	struct cfi_table view;

	if (flat_rows_view(data, len, &view, &stats))
		return false;
	use_rows(&view);
	return true;
}

static void test_rows(void **state)
{
	const struct cfi_stats stats = { .fdes = 7, .unread = 1, .rows = 5, .debug_frame = true };
	struct cfi_table *t = make_rows(), view;
	struct cfi_stats got;
	struct bytes all;
	struct flat f;

	(void)state;
	flat_rows(t, &stats, &f);
	all = join(&f);
	assert_int_equal(flat_rows_view(all.data, all.len, &view, &got), 0);
	assert_int_equal(got.fdes, 7);
	assert_int_equal(got.unread, 1);
	assert_int_equal(got.rows, 5);
	assert_true(got.debug_frame);
	for (uint64_t at = 0; at < 8ULL << CFI_PAGE_SHIFT; at += 15) {
		struct cfi_rule a = cfi_lookup(t, at), b = cfi_lookup(&view, at);

		assert_memory_equal(&a, &b, sizeof(a));
	}
	for (size_t len = 0; len < all.len; len++) {
		unsigned char *copy = cut(&all, len);

		assert_false(try_rows(copy, len));
		free(copy);
	}
	for (size_t i = 0; i < all.len * 8; i++) {
		unsigned char *copy = cut(&all, all.len);

		copy[i / 8] ^= (unsigned char)(1U << i % 8);
		(void)try_rows(copy, all.len);
		memset(copy + i / 8, i % 2 ? 0xff : 0, all.len - i / 8 < 4 ? all.len - i / 8 : 4);
		(void)try_rows(copy, all.len);
		free(copy);
	}
	(void)cfi_table_free(t);
	free(all.data);
}

static void test_rows_rules(void **state)
{
	const struct cfi_stats stats = { 0 };
	struct cfi_table *t = make_rows();
	struct bytes all;
	struct flat f;

	(void)state;
	flat_rows(t, &stats, &f);
#define BAD(field, value)                                                                          \
	do {                                                                                       \
		__typeof__(field) was = field;                                                     \
                                                                                                   \
		field = value;                                                                     \
		all = join(&f);                                                                    \
		assert_false(try_rows(all.data, all.len));                                         \
		free(all.data);                                                                    \
		field = was;                                                                       \
	} while (0)
	BAD(t->rules[0].cfa_type, CFI_CFA_RA_RDI + 1);
	BAD(t->rules[0].rbp_type, CFI_RBP_LOST + 1);
	BAD(t->pages[0].first, 1);
	BAD(t->pages[0].n, 4);
	BAD(t->pages[0].n, UINT32_MAX);
	BAD(t->pages[2].n, 1);
	BAD(t->rows[0], 1 << 16);        /* a page begins at its beginning */
	BAD(t->rows[1], 0x20 << 16 | 1); /* two at one place */
	BAD(t->rows[2], 0x20 << 16 | 3); /* there are three rules */
	BAD(f.header.rows.first_page, CFI_PAGES_MAX - 2);
	BAD(f.header.rows.n_rows, UINT32_MAX);
	BAD(f.header.rows.debug_frame, 2);
	BAD(f.header.rows.go, 2);
#undef BAD
	all = join(&f);
	assert_true(try_rows(all.data, all.len));
	free(all.data);
	(void)cfi_table_free(t);
}

static void test_info(void **state)
{
	struct test_elf *e = calloc(1, sizeof(*e));
	struct object_info info, back;
	struct symd_info wire, bent;
	uint64_t vaddr;

	(void)state;
	assert_non_null(e);
	test_elf_init(e);
	test_elf_symbols(e, S_SYMTAB, some_symbols, ARRAY_SIZE(some_symbols));
	assert_int_equal(object_info_read(&e->source, &info), 0);
	symd_info_pack(&info, &wire);
	assert_int_equal(symd_info_unpack(&wire, &back), 0);
	assert_int_equal(back.n_segments, info.n_segments);
	assert_int_equal(back.build_id_len, info.build_id_len);
	assert_memory_equal(back.build_id, info.build_id, sizeof(info.build_id));
	assert_string_equal(back.debuglink, info.debuglink);
	assert_int_equal(back.has_symtab, info.has_symtab);
	for (size_t i = 0; i < sizeof(wire) * 8; i++) {
		bent = wire;
		((unsigned char *)&bent)[i / 8] ^= (unsigned char)(1U << i % 8);
		if (symd_info_unpack(&bent, &back))
			continue;
		assert_true(back.n_segments <= OBJECT_SEGMENTS_MAX);
		assert_true(strlen(back.debuglink) < OBJECT_DEBUGLINK_MAX);
		(void)!object_vaddr(&back, 0x210, &vaddr);
	}
	bent = wire;
	bent.has_symtab = 2;
	assert_int_equal(symd_info_unpack(&bent, &back), -EBADMSG);
	bent = wire;
	bent.segments[0].executable = 7;
	assert_int_equal(symd_info_unpack(&bent, &back), -EBADMSG);
	bent = wire;
	bent.segments[0].size = UINT64_MAX;
	assert_int_equal(symd_info_unpack(&bent, &back), -EBADMSG);
	bent = wire;
	strcpy(bent.debuglink, "../../x");
	assert_int_equal(symd_info_unpack(&bent, &back), -EBADMSG);
	strcpy(bent.debuglink, "..");
	assert_int_equal(symd_info_unpack(&bent, &back), -EBADMSG);
	memset(bent.debuglink, 'x', sizeof(bent.debuglink));
	assert_int_equal(symd_info_unpack(&bent, &back), -EBADMSG);
	free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_symbols),       cmocka_unit_test(test_symbols_bent),
		cmocka_unit_test(test_symbols_rules), cmocka_unit_test(test_symbols_long_name),
		cmocka_unit_test(test_rows),          cmocka_unit_test(test_rows_rules),
		cmocka_unit_test(test_info),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
