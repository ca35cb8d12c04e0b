/* SPDX-License-Identifier: BSD-2-Clause */
/* Names from .gnu_debugdata, made here by liblzma; and what a hostile one can do: nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <lzma.h>
#include <stdlib.h>
#include <cmocka.h>
#include "object/symtab.h"
#include "test_object_elf.h"

#define T          (TEST_TEXT + 0x100)
#define PACKED_MAX 65536

static const struct test_symbol exported[] = { { "exported", T, 0x10, STB_GLOBAL, STT_FUNC, 0 } };
static const struct test_symbol hidden[] = {
	{ "hidden", T + 0x20, 0x10, STB_LOCAL, STT_FUNC, 0 },
	{ "exported", T, 0x10, STB_GLOBAL, STT_FUNC, 0 },
	{ "elsewhere", TEST_DATA + 0x1000, 0x10, STB_LOCAL, STT_FUNC, 0 },
};

struct packed {
	uint8_t bytes[PACKED_MAX];
	size_t len;
};

static void pack(const void *data, size_t len, uint32_t preset, struct packed *p)
{
	p->len = 0;
	assert_int_equal(lzma_easy_buffer_encode(preset, LZMA_CHECK_CRC64, NULL, data, len,
						 p->bytes, &p->len, sizeof(p->bytes)),
			 LZMA_OK);
}

/* The mini debug file: the same code, a .symtab. */
static void pack_symbols(struct packed *p)
{
	struct test_elf mini;

	test_elf_init(&mini);
	test_elf_symbols(&mini, S_SYMTAB, hidden, ARRAY_SIZE(hidden));
	pack(mini.bytes, mini.len, 6, p);
}

/* A stripped file with .dynsym, in the place of whose debug link the section is. */
struct outer {
	struct test_elf elf;
	unsigned char *bytes;
	struct object_memory memory;
	struct object_source source;
};

static void build(struct outer *o, const struct packed *p)
{
	static const char names[] = "\0.gnu_debugdata";

	test_elf_init(&o->elf);
	test_elf_symbols(&o->elf, S_DYNSYM, exported, ARRAY_SIZE(exported));
	test_elf_content(&o->elf, S_NAMES, SHT_STRTAB, names, sizeof(names));
	o->elf.sections[S_LINK].sh_offset = o->elf.len;
	o->elf.sections[S_LINK].sh_size = p->len;
	o->memory.len = o->elf.len + p->len;
	o->bytes = malloc(o->memory.len);
	assert_non_null(o->bytes);
	memcpy(o->bytes, o->elf.bytes, o->elf.len);
	memcpy(o->bytes + o->elf.len, p->bytes, p->len);
	o->memory.data = o->bytes;
	object_source_memory(&o->source, &o->memory);
}

static struct symbols *read_packed(const struct packed *p)
{
	struct symbols *t = NULL;
	struct object_info info;
	struct outer o;

	build(&o, p);
	assert_int_equal(object_info_read(&o.source, &info), 0);
	assert_int_equal(symbols_read(&o.source, &info, &t), 0);
	free(o.bytes);
	return t;
}

static int unpack(const struct packed *p)
{
	struct object_memory m = { p->bytes, p->len };
	Elf64_Shdr section = { .sh_size = p->len };
	struct object_source s;
	size_t len = 1;
	void *data = &m;
	int err;

	object_source_memory(&s, &m);
	err = minidebug_unpack(&s, &section, &data, &len);
	if (err) {
		assert_ptr_equal(data, &m);
		assert_int_equal(len, 1);
	} else {
		free(data);
	}
	return err;
}

static void assert_names(const struct packed *p, bool all)
{
	struct symbols *t = read_packed(p);
	struct symbol s;

	assert_true(symbols_find(t, T, &s));
	assert_string_equal(s.name, "exported");
	assert_int_equal(symbols_find(t, T + 0x20, &s), all);
	if (all)
		assert_string_equal(s.name, "hidden");
	assert_int_equal(symbols_count(t), all ? 2 : 1);
	symbols_free(t);
}

static void names_are_merged(void **state)
{
	struct packed p;

	(void)state;
	pack_symbols(&p);
	assert_names(&p, true);
}

static void a_whole_symtab_needs_no_other(void **state)
{
	struct object_info info;
	struct symbols *t = NULL;
	struct symbol s;
	struct packed p;
	struct outer o;

	(void)state;
	pack_symbols(&p);
	build(&o, &p);
	/* .dynsym as .symtab. */
	((Elf64_Shdr *)(o.bytes + o.elf.header.e_shoff))[S_DYNSYM].sh_type = SHT_SYMTAB;
	assert_int_equal(object_info_read(&o.source, &info), 0);
	assert_int_equal(symbols_read(&o.source, &info, &t), 0);
	assert_false(symbols_find(t, T + 0x20, &s));
	symbols_free(t);
	free(o.bytes);
}

static void what_is_no_elf_file_says_nothing(void **state)
{
	struct packed p = { .len = 0 };

	(void)state;
	pack("", 0, 6, &p);
	assert_names(&p, false);
	pack("hello", 5, 6, &p);
	assert_names(&p, false);
	memset(p.bytes, 0, 100);
	p.len = 100;
	assert_names(&p, false);
}

static void truncated(void **state)
{
	struct packed p;
	size_t len;

	(void)state;
	pack_symbols(&p);
	len = p.len;
	assert_int_equal(unpack(&p), 0);
	for (p.len = 1; p.len < len; p.len++) {
		assert_int_equal(unpack(&p), -EBADMSG);
		assert_names(&p, false);
	}
}

static void flipped(void **state)
{
	struct packed p;

	(void)state;
	pack_symbols(&p);
	for (size_t i = 0; i < p.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			p.bytes[i] ^= (uint8_t)(1 << bit);
			symbols_free(read_packed(&p));
			p.bytes[i] ^= (uint8_t)(1 << bit);
		}
}

/* Damage that the compression does not see. */
static void flipped_inside(void **state)
{
	struct test_elf mini;
	struct packed p;

	(void)state;
	test_elf_init(&mini);
	test_elf_symbols(&mini, S_SYMTAB, hidden, ARRAY_SIZE(hidden));
	for (size_t i = 0; i < mini.len; i++) {
		mini.bytes[i] ^= 0xff;
		pack(mini.bytes, mini.len, 0, &p);
		symbols_free(read_packed(&p));
		mini.bytes[i] ^= 0xff;
	}
}

static void a_bomb(void **state)
{
	size_t len = MINIDEBUG_MAX + 1;
	char *zeroes = calloc(1, len);
	struct packed p;

	(void)state;
	assert_non_null(zeroes);
	pack(zeroes, len, 0, &p);
	assert_int_equal(unpack(&p), -EFBIG);
	assert_names(&p, false);
	pack(zeroes, MINIDEBUG_MAX / 2, 0, &p);
	assert_int_equal(unpack(&p), 0);
	free(zeroes);
}

/* It asks for a dictionary of 128 MiB to unpack a few bytes. */
static void a_decoder_that_wants_memory(void **state)
{
	lzma_options_lzma options;
	lzma_filter filters[] = { { LZMA_FILTER_LZMA2, &options }, { LZMA_VLI_UNKNOWN, NULL } };
	lzma_stream z = LZMA_STREAM_INIT;
	struct packed p;

	(void)state;
	assert_false(lzma_lzma_preset(&options, 0));
	pack("hello", 5, 0, &p);
	assert_int_equal(unpack(&p), 0);
	options.dict_size = 128U << 20;
	options.mf = LZMA_MF_HC3;
	if (lzma_stream_encoder(&z, filters, LZMA_CHECK_CRC32) != LZMA_OK)
		skip();
	z.next_in = (const uint8_t *)"hello";
	z.avail_in = 5;
	z.next_out = p.bytes;
	z.avail_out = sizeof(p.bytes);
	assert_int_equal(lzma_code(&z, LZMA_FINISH), LZMA_STREAM_END);
	p.len = z.total_out;
	lzma_end(&z);
	assert_int_equal(unpack(&p), -EBADMSG);
	/* The highest preset that xz has is no hostility. */
	pack("hello", 5, 9, &p);
	assert_int_equal(unpack(&p), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_merged),
		cmocka_unit_test(a_whole_symtab_needs_no_other),
		cmocka_unit_test(what_is_no_elf_file_says_nothing),
		cmocka_unit_test(truncated),
		cmocka_unit_test(flipped),
		cmocka_unit_test(flipped_inside),
		cmocka_unit_test(a_bomb),
		cmocka_unit_test(a_decoder_that_wants_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
