/* SPDX-License-Identifier: BSD-2-Clause */
/* Identity, segments, debug links, checksums and demangling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <cmocka.h>
#include "test_object_elf.h"

static void info_of_a_small_file(void **state)
{
	struct object_info info;
	struct test_elf e;

	(void)state;
	test_elf_init(&e);
	assert_int_equal(object_info_read(&e.source, &info), 0);
	assert_int_equal(info.machine, EM_X86_64);
	assert_int_equal(info.type, ET_DYN);
	assert_int_equal(info.build_id_len, 20);
	assert_memory_equal(info.build_id, TEST_BUILD_ID, 20);
	assert_string_equal(info.debuglink, TEST_LINK);
	assert_int_equal(info.debuglink_crc, TEST_LINK_CRC);
	assert_false(info.has_symtab);
	assert_int_equal(info.n_segments, 2);
	assert_true(info.segments[0].executable);
	assert_int_equal(info.segments[0].vaddr, TEST_TEXT);
	assert_false(info.segments[1].executable);
	assert_int_equal(info.segments[1].size, 0x200);
	assert_int_equal(info.segments[1].vsize, 0x400);
}

static void vaddr_prefers_code(void **state)
{
	struct object_info info;
	struct test_elf e;
	uint64_t vaddr = 77;

	(void)state;
	test_elf_init(&e);
	assert_int_equal(object_info_read(&e.source, &info), 0);
	assert_int_equal(object_vaddr(&info, 0x1ff, &vaddr), -ENOENT);
	assert_int_equal(vaddr, 77);
	assert_int_equal(object_vaddr(&info, 0x200, &vaddr), 0);
	assert_int_equal(vaddr, TEST_TEXT);
	/* In both segments. */
	assert_int_equal(object_vaddr(&info, 0x200 + TEST_TEXT_SIZE - 1, &vaddr), 0);
	assert_int_equal(vaddr, TEST_TEXT + TEST_TEXT_SIZE - 1);
	assert_int_equal(object_vaddr(&info, 0x200 + TEST_TEXT_SIZE, &vaddr), 0);
	assert_int_equal(vaddr, TEST_DATA + 0x100);
	assert_int_equal(object_vaddr(&info, 0x200 + TEST_TEXT_SIZE + 0x100, &vaddr), -ENOENT);
	assert_int_equal(object_vaddr(&info, UINT64_MAX, &vaddr), -ENOENT);
}

static void build_id_from_the_section_alone(void **state)
{
	struct object_info info;
	struct test_elf e;

	(void)state;
	test_elf_init(&e);
	e.programs[P_NOTE].p_offset = UINT64_MAX - 8; /* not the bytes of this file */
	assert_int_equal(object_info_read(&e.source, &info), 0);
	assert_int_equal(info.build_id_len, 20);
	e.sections[S_NOTE].sh_type = SHT_NOBITS;
	assert_int_equal(object_info_read(&e.source, &info), 0);
	assert_int_equal(info.build_id_len, 0);
}

static void not_an_elf_file(void **state)
{
	struct object_info info = { .machine = 4711 };
	struct test_elf e;

	(void)state;
	for (size_t i = 0; i <= EI_DATA; i++) {
		test_elf_init(&e);
		e.bytes[i] ^= 1;
		assert_int_equal(object_info_read(&e.source, &info), -ENOEXEC);
	}
	test_elf_source(&e, 0);
	assert_int_equal(object_info_read(&e.source, &info), -ENOEXEC);
	assert_int_equal(info.machine, 4711);
}

static void damaged_headers(void **state)
{
	struct object_info info = { .machine = 4711 };
	struct test_elf e;

	(void)state;
	test_elf_init(&e);
	e.header.e_shoff = UINT64_MAX - 64;
	assert_int_equal(object_info_read(&e.source, &info), -EBADMSG);
	test_elf_init(&e);
	e.header.e_phoff = e.len;
	assert_int_equal(object_info_read(&e.source, &info), -EBADMSG);
	test_elf_init(&e);
	e.header.e_phentsize = 1;
	assert_int_equal(object_info_read(&e.source, &info), -EBADMSG);
	test_elf_init(&e);
	e.programs[P_CODE].p_memsz = UINT64_MAX;
	assert_int_equal(object_info_read(&e.source, &info), -EBADMSG);
	test_elf_init(&e);
	e.header.e_shnum = 0;
	e.sections[0].sh_size = UINT64_MAX / 64 + 2; /* overflows in bytes */
	assert_int_equal(object_info_read(&e.source, &info), -EBADMSG);
	assert_int_equal(info.machine, 4711);
}

/* Counts that do not fit into the header stand in section 0. */
static void extended_counts(void **state)
{
	struct object_info info;
	struct test_elf e;

	(void)state;
	test_elf_init(&e);
	e.header.e_shnum = 0;
	e.header.e_phnum = PN_XNUM;
	e.header.e_shstrndx = SHN_XINDEX;
	e.sections[0].sh_size = S_COUNT;
	e.sections[0].sh_info = P_COUNT;
	e.sections[0].sh_link = S_NAMES;
	assert_int_equal(object_info_read(&e.source, &info), 0);
	assert_int_equal(info.n_segments, 2);
	assert_string_equal(info.debuglink, TEST_LINK);
	assert_int_equal(info.build_id_len, 20);
}

static void more_sections_than_the_header_can_count(void **state)
{
	const uint32_t n = 70000;
	struct object_memory m;
	struct object_source s;
	struct object_info info;
	struct test_elf e;
	unsigned char *data;

	(void)state;
	test_elf_init(&e);
	m.len = e.len + n * sizeof(Elf64_Shdr);
	data = calloc(1, m.len);
	assert_non_null(data);
	e.header.e_shnum = 0;
	e.sections[0].sh_size = n;
	memcpy(data + e.len, e.sections, S_COUNT * sizeof(Elf64_Shdr));
	e.header.e_shoff = e.len;
	memcpy(data, e.bytes, e.len);
	m.data = data;
	object_source_memory(&s, &m);
	assert_int_equal(object_info_read(&s, &info), 0);
	assert_string_equal(info.debuglink, TEST_LINK);
	free(data);
}

static void debug_links_are_base_names(void **state)
{
	static const char *const bad[] = { "../x.debug", "/etc/passwd", ".", "..", "" };
	struct object_info info;
	struct test_elf e;
	char name[OBJECT_DEBUGLINK_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		test_elf_init(&e);
		test_elf_link(&e, bad[i]);
		assert_int_equal(object_info_read(&e.source, &info), 0);
		assert_string_equal(info.debuglink, "");
	}
	memset(name, 'x', sizeof(name));
	name[OBJECT_DEBUGLINK_MAX] = '\0';
	test_elf_init(&e);
	test_elf_link(&e, name);
	assert_int_equal(object_info_read(&e.source, &info), 0);
	assert_string_equal(info.debuglink, "");
	name[OBJECT_DEBUGLINK_MAX - 1] = '\0';
	test_elf_init(&e);
	test_elf_link(&e, name);
	assert_int_equal(object_info_read(&e.source, &info), 0);
	assert_string_equal(info.debuglink, name);
	/* The CRC is cut off. */
	e.sections[S_LINK].sh_size -= 1;
	assert_int_equal(object_info_read(&e.source, &info), 0);
	assert_string_equal(info.debuglink, "");
}

/* What the loader says of us is the truth. */
static int find_self(struct dl_phdr_info *loaded, size_t size, void *ctx)
{
	const struct object_info *info = ctx;
	size_t n = 0;

	(void)size;
	for (size_t i = 0; i < loaded->dlpi_phnum; i++) {
		const Elf64_Phdr *p = &loaded->dlpi_phdr[i];

		if (p->p_type != PT_LOAD)
			continue;
		assert_true(n < info->n_segments);
		assert_int_equal(info->segments[n].vaddr, p->p_vaddr);
		assert_int_equal(info->segments[n].vsize, p->p_memsz);
		assert_int_equal(info->segments[n].offset, p->p_offset);
		assert_int_equal(info->segments[n].size, p->p_filesz);
		assert_int_equal(info->segments[n].executable, !!(p->p_flags & PF_X));
		n++;
	}
	assert_int_equal(n, info->n_segments);
	return 1;
}

static void info_of_this_program(void **state)
{
	_cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct object_source s;
	struct object_info info;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(object_source_fd(&s, fd), 0);
	assert_int_equal(object_info_read(&s, &info), 0);
	assert_int_equal(dl_iterate_phdr(find_self, &info), 1);
}

static void only_regular_files_are_sources(void **state)
{
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int dir = open("/", O_RDONLY | O_CLOEXEC);
	struct object_source s;

	(void)state;
	assert_int_equal(object_source_fd(&s, null), -EINVAL);
	assert_int_equal(object_source_fd(&s, dir), -EINVAL);
	assert_int_equal(object_source_fd(&s, -1), -EBADF);
}

static ssize_t failing_read(void *ctx, void *data, size_t len, uint64_t offset)
{
	(void)ctx;
	(void)data;
	(void)len;
	(void)offset;
	return -EIO;
}

static ssize_t shrunk_read(void *ctx, void *data, size_t len, uint64_t offset)
{
	(void)ctx;
	(void)data;
	(void)offset;
	return (ssize_t)len - 1;
}

static void failing_sources(void **state)
{
	struct object_source s = { .read = failing_read, .size = 4096 };
	struct object_info info;
	uint32_t crc;

	(void)state;
	assert_int_equal(object_info_read(&s, &info), -EIO);
	assert_int_equal(object_crc32(&s, &crc), -EIO);
	s.read = shrunk_read;
	assert_int_equal(object_info_read(&s, &info), -EBADMSG);
	assert_int_equal(object_crc32(&s, &crc), -EBADMSG);
	s.size = OBJECT_CRC_MAX + 1;
	assert_int_equal(object_crc32(&s, &crc), -EFBIG);
}

static void crc_of_known_bytes(void **state)
{
	static unsigned char zeros[100000];
	struct object_memory m = { "123456789", 9 };
	struct object_source s;
	uint32_t crc;

	(void)state;
	object_source_memory(&s, &m);
	assert_int_equal(object_crc32(&s, &crc), 0);
	assert_int_equal(crc, 0xcbf43926); /* the check value of CRC-32 */
	m = (struct object_memory){ zeros, sizeof(zeros) };
	object_source_memory(&s, &m);
	assert_int_equal(object_crc32(&s, &crc), 0);
	assert_int_equal(crc, 0xd411957d);
	m.len = 0;
	object_source_memory(&s, &m);
	assert_int_equal(object_crc32(&s, &crc), 0);
	assert_int_equal(crc, 0);
}

static void demangled_names(void **state)
{
	static const char *const names[][2] = {
		{ "_ZN3foo3barEi", "foo::bar(int)" },
		{ "_ZNKSt6vectorIiSaIiEE4sizeEv",
		  "std::vector<int, std::allocator<int> >::size() const" },
		{ "__ZN3foo3barEi", "foo::bar(int)" },
		{ "_ZN3foo3barEi.cold", "foo::bar(int) [clone .cold]" },
		/* Rust, old: the hash goes. */
		{ "_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE",
		  "core::fmt::Write::write_fmt" },
		{ "_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$"
		  "3bar17h0"
		  "123456789abcdefE",
		  "<Test + 'static as foo::Bar<Test>>::bar" },
		/* Rust, v0. */
		{ "_RNvC6_123foo3bar", "123foo::bar" },
		{ "_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar" },
		{ "_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y",
		  "utf8_idents::"
		  "\xe1\x83\xa1\xe1\x83\x90\xe1\x83\xad\xe1\x83\x9b\xe1\x83\x94\xe1\x83\x9a\xe1\x83"
		  "\x90"
		  "\xe1\x83\x93_"
		  "\xe1\x83\x92\xe1\x83\x94\xe1\x83\x9b\xe1\x83\xa0\xe1\x83\x98\xe1\x83\x94"
		  "\xe1\x83\x9a\xe1\x83\x98_"
		  "\xe1\x83\xa1\xe1\x83\x90\xe1\x83\x93\xe1\x83\x98\xe1\x83\x9a"
		  "\xe1\x83\x98" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *name = object_demangle(names[i][0]);

		assert_non_null(name);
		assert_string_equal(name, names[i][1]);
	}
}

static void names_that_are_not_mangled(void **state)
{
	static const char *const names[] = { "",
					     "_",
					     "main",
					     "_Z",
					     "_R",
					     "__Z",
					     "_ZN3fo",
					     "_Rust",
					     "_init",
					     "ZN3foo3barEi",
					     "_ZN99999999999999999999x" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_null(object_demangle(names[i]));
}

/* Each argument is a pair of the one before it, by two substitutions: the text doubles. */
static void nested_pairs(char *name, int levels)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	name += sprintf(name, "_Z1fSt4pairIiiE");
	for (int i = 0; i < levels; i++)
		name += sprintf(name, "S_IS%c_S%c_E", digits[i], digits[i]);
}

/* The same with tuples and Rust's back references, which are offsets in base 62. */
static void nested_tuples(char *name, int levels)
{
	static const char digits[] =
		"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	char *start = name + strlen("_R"), *last;

	name += sprintf(name, "_RINvC1a1b");
	last = name;
	name += sprintf(name, "TmmE");
	for (int i = 0; i < levels; i++) {
		int at = (int)(last - start) - 1;
		char where[8] = { digits[at / 62], digits[at % 62], '_' };
		const char *w = at < 62 ? where + 1 : where;

		last = name;
		name += sprintf(name, "TB%sB%sE", w, w);
	}
	(void)sprintf(name, "E");
}

static void demangling_is_bounded(void **state)
{
	char name[OBJECT_NAME_MAX * 2], *text;

	(void)state;
	nested_pairs(name, 1);
	text = object_demangle(name);
	assert_string_equal(text, "f(std::pair<int, int>, std::pair<std::pair<int, int>, "
				  "std::pair<int, int> >)");
	free(text);
	nested_pairs(name, 36); /* 400 bytes that mean a terabyte */
	assert_null(object_demangle(name));

	nested_tuples(name, 1);
	text = object_demangle(name);
	assert_string_equal(text, "a::b::<(u32, u32), ((u32, u32), (u32, u32))>");
	free(text);
	nested_tuples(name, 60);
	assert_null(object_demangle(name));

	memset(name, 'P', sizeof(name)); /* pointers to pointers */
	memcpy(name, "_Z1f", 4);
	name[OBJECT_NAME_MAX] = '\0';
	assert_null(object_demangle(name));
	name[sizeof(name) - 1] = '\0';
	assert_null(object_demangle(name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(info_of_a_small_file),
		cmocka_unit_test(vaddr_prefers_code),
		cmocka_unit_test(build_id_from_the_section_alone),
		cmocka_unit_test(not_an_elf_file),
		cmocka_unit_test(damaged_headers),
		cmocka_unit_test(extended_counts),
		cmocka_unit_test(more_sections_than_the_header_can_count),
		cmocka_unit_test(debug_links_are_base_names),
		cmocka_unit_test(info_of_this_program),
		cmocka_unit_test(only_regular_files_are_sources),
		cmocka_unit_test(failing_sources),
		cmocka_unit_test(crc_of_known_bytes),
		cmocka_unit_test(demangled_names),
		cmocka_unit_test(names_that_are_not_mangled),
		cmocka_unit_test(demangling_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
