/* SPDX-License-Identifier: BSD-2-Clause */
/* Which name an address has, in files built here and in real ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <link.h>
#include <stdlib.h>
#include <cmocka.h>
#include "test_object_elf.h"

#define T        (TEST_TEXT + 0x100) /* somewhere in .text */
#define TEXT_END (TEST_TEXT + TEST_TEXT_SIZE)

static struct symbols *read_symbols(struct test_elf *e)
{
	struct object_info info;
	struct symbols *t = NULL;

	assert_int_equal(object_info_read(&e->source, &info), 0);
	assert_int_equal(symbols_read(&e->source, &info, &t), 0);
	return t;
}

static struct symbols *table_of(const struct test_symbol *symbols, size_t n)
{
	struct test_elf e;

	test_elf_init(&e);
	test_elf_symbols(&e, S_SYMTAB, symbols, n);
	return read_symbols(&e);
}

/* The name at vaddr is this one, or none for NULL. */
static void assert_name(const struct symbols *t, uint64_t vaddr, const char *name)
{
	struct symbol s;

	if (!name) {
		assert_false(symbols_find(t, vaddr, &s));
		return;
	}
	assert_true(symbols_find(t, vaddr, &s));
	assert_string_equal(s.name, name);
	assert_true(vaddr >= s.vaddr && vaddr - s.vaddr < s.size);
}

static void names_end_where_their_size_ends(void **state)
{
	static const struct test_symbol symbols[] = {
		{ "second", T + 0x40, 0x10, STB_GLOBAL, STT_FUNC, 0 },
		{ "first", T, 0x20, STB_LOCAL, STT_FUNC, 0 },
		{ "resolver", T + 0x60, 8, STB_GLOBAL, STT_GNU_IFUNC, 0 },
	};
	struct symbols *t = table_of(symbols, ARRAY_SIZE(symbols));

	(void)state;
	assert_int_equal(symbols_count(t), 3);
	assert_true(symbols_bytes(t) >= 3 * 16 + sizeof("first") + sizeof("second"));
	assert_name(t, 0, NULL);
	assert_name(t, T - 1, NULL);
	assert_name(t, T, "first");
	assert_name(t, T + 0x1f, "first");
	assert_name(t, T + 0x20, NULL);
	assert_name(t, T + 0x40, "second");
	assert_name(t, T + 0x50, NULL);
	assert_name(t, T + 0x67, "resolver");
	assert_name(t, UINT64_MAX, NULL);
	symbols_free(t);
}

static void the_innermost_name_wins(void **state)
{
	static const struct test_symbol symbols[] = {
		{ "outer", T, 0x100, STB_GLOBAL, STT_FUNC, 0 },
		{ "inner", T + 0x40, 0x10, STB_GLOBAL, STT_FUNC, 0 },
		{ "label", T + 0x80, 0, STB_LOCAL, STT_NOTYPE, 0 },
	};
	struct symbols *t = table_of(symbols, ARRAY_SIZE(symbols));

	(void)state;
	assert_name(t, T + 0x3f, "outer");
	assert_name(t, T + 0x4f, "inner");
	assert_name(t, T + 0x50, "outer");
	assert_name(t, T + 0x80, "outer"); /* a label is no end of a function with a size */
	symbols_free(t);
}

static void names_without_size_have_a_reach(void **state)
{
	static const struct test_symbol symbols[] = {
		{ "_init", TEST_TEXT, 0, STB_LOCAL, STT_FUNC, S_INIT },
		{ "entry", T, 0, STB_GLOBAL, STT_NOTYPE, 0 },
		{ "next", T + 0x10, 0, STB_GLOBAL, STT_FUNC, 0 },
		{ "last", TEXT_END - 0x20, 0, STB_GLOBAL, STT_FUNC, 0 },
		{ "etext", TEXT_END, 0, STB_GLOBAL, STT_NOTYPE, 0 },
		{ "$x", T + 8, 0, STB_LOCAL, STT_NOTYPE, 0 },
		{ ".L5", T + 9, 0, STB_LOCAL, STT_NOTYPE, 0 },
		{ "absolute", T + 10, 0, STB_LOCAL, STT_NOTYPE, SHN_ABS },
		{ "data", TEST_DATA, 8, STB_GLOBAL, STT_FUNC, 0 },
		{ "object", T + 11, 8, STB_GLOBAL, STT_OBJECT, 0 },
	};
	struct symbols *t = table_of(symbols, ARRAY_SIZE(symbols));

	(void)state;
	assert_int_equal(symbols_count(t), 4);
	assert_name(t, TEST_TEXT + TEST_INIT_SIZE - 1, "_init");
	assert_name(t, TEST_TEXT + TEST_INIT_SIZE, NULL);
	assert_name(t, T + 0xf, "entry");
	assert_name(t, T + 0x10, "next");
	assert_name(t, T + 0x10 + 4095, "next");
	assert_name(t, T + 0x10 + 4096, NULL);
	assert_name(t, TEXT_END - 1, "last");
	assert_name(t, TEXT_END, NULL);
	assert_name(t, TEST_DATA, NULL);
	symbols_free(t);
}

static void one_name_an_address(void **state)
{
	static const struct test_symbol symbols[] = {
		{ "a_local", T, 0x10, STB_LOCAL, STT_FUNC, 0 },
		{ "a_weak", T, 0x10, STB_WEAK, STT_FUNC, 0 },
		{ "the_global", T, 0x10, STB_GLOBAL, STT_FUNC, 0 },
		{ "x", T, 0x10, STB_GLOBAL, STT_NOTYPE, 0 },
		{ "unsized", T + 0x20, 0, STB_WEAK, STT_FUNC, 0 },
		{ "with_a_size", T + 0x20, 0x10, STB_WEAK, STT_FUNC, 0 },
		{ "__libc_malloc", T + 0x40, 0x10, STB_GLOBAL, STT_FUNC, 0 },
		{ "malloc", T + 0x40, 0x10, STB_GLOBAL, STT_FUNC, 0 },
		{ "mallob", T + 0x40, 0x10, STB_GLOBAL, STT_FUNC, 0 },
		{ "global_unsized", T + 0x60, 0, STB_GLOBAL, STT_FUNC, 0 },
		{ "local_sized", T + 0x60, 0x10, STB_LOCAL, STT_FUNC, 0 },
		{ "_IO_puts", T + 0x80, 0x10, STB_GLOBAL, STT_FUNC, 0 },
		{ "puts", T + 0x80, 0x10, STB_WEAK, STT_FUNC, 0 },
		{ "x", T + 0x80, 0x10, STB_GLOBAL, STT_NOTYPE, 0 },
		{ "__read", T + 0xa0, 0x10, STB_GLOBAL, STT_FUNC, 0 },
		{ "_read", T + 0xa0, 0x10, STB_LOCAL, STT_FUNC, 0 },
		{ "_ZN1a1bEv", T + 0xc0, 0x10, STB_GLOBAL, STT_FUNC, 0 },
		{ "folded", T + 0xc0, 0x10, STB_LOCAL, STT_FUNC, 0 },
	};
	struct test_symbol reversed[ARRAY_SIZE(symbols)];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(symbols); i++)
		reversed[i] = symbols[ARRAY_SIZE(symbols) - 1 - i];
	for (int i = 0; i < 2; i++) {
		struct symbols *t = table_of(i ? reversed : symbols, ARRAY_SIZE(symbols));

		assert_int_equal(symbols_count(t), 7);
		assert_name(t, T, "the_global");
		assert_name(t, T + 0x20, "with_a_size");
		assert_name(t, T + 0x40, "mallob");
		assert_name(t, T + 0x6f, "global_unsized");
		assert_name(t, T + 0x70, NULL); /* its alias knows the size */
		assert_name(t, T + 0x80, "puts");
		assert_name(t, T + 0xa0, "_read");
		assert_name(t, T + 0xc0, "_ZN1a1bEv");
		symbols_free(t);
	}
}

static void versions_are_cut(void **state)
{
	static const struct test_symbol symbols[] = {
		{ "open@@GLIBC_2.2.5", T, 0x10, STB_GLOBAL, STT_FUNC, 0 },
		{ "close@V1", T + 0x10, 0x10, STB_GLOBAL, STT_FUNC, 0 },
		{ "@only", T + 0x20, 0x10, STB_GLOBAL, STT_FUNC, 0 },
	};
	struct symbols *t = table_of(symbols, ARRAY_SIZE(symbols));

	(void)state;
	assert_name(t, T, "open");
	assert_name(t, T + 0x10, "close");
	assert_name(t, T + 0x20, NULL);
	symbols_free(t);
}

static void both_tables_are_read(void **state)
{
	static const struct test_symbol full[] = { { "hidden", T, 8, STB_LOCAL, STT_FUNC, 0 },
						   { "shown", T + 8, 8, STB_GLOBAL, STT_FUNC, 0 } };
	static const struct test_symbol dynamic[] = {
		{ "shown", T + 8, 8, STB_GLOBAL, STT_FUNC, 0 },
		{ "only_dynamic", T + 16, 8, STB_GLOBAL, STT_FUNC, 0 },
		{ "imported", T + 24, 8, STB_GLOBAL, STT_FUNC, 0 }
	};
	struct object_info info;
	struct symbols *t;
	struct test_elf e;

	(void)state;
	test_elf_init(&e);
	test_elf_symbols(&e, S_DYNSYM, dynamic, ARRAY_SIZE(dynamic));
	test_elf_symbols(&e, S_SYMTAB, full, ARRAY_SIZE(full));
	((Elf64_Sym *)(e.bytes + e.sections[S_DYNSYM].sh_offset))[3].st_shndx = SHN_UNDEF;
	assert_int_equal(object_info_read(&e.source, &info), 0);
	assert_true(info.has_symtab);
	t = read_symbols(&e);
	assert_int_equal(symbols_count(t), 3);
	assert_name(t, T, "hidden");
	assert_name(t, T + 8, "shown");
	assert_name(t, T + 16, "only_dynamic");
	symbols_free(t);

	/* A separate debug file: nothing of the segments is in it, .dynsym neither. */
	e.sections[S_DYNSYM].sh_type = SHT_NOBITS;
	e.programs[P_CODE].p_filesz = 0;
	t = read_symbols(&e);
	assert_int_equal(symbols_count(t), 2);
	assert_name(t, T, "hidden");
	symbols_free(t);
}

static void sizes_end_with_the_code(void **state)
{
	static const struct test_symbol symbols[] = {
		{ "endless", T, UINT64_MAX, STB_GLOBAL, STT_FUNC, 0 },
		{ "tail", TEXT_END - 1, 0x1000, STB_GLOBAL, STT_FUNC, 0 },
	};
	struct symbols *t = table_of(symbols, ARRAY_SIZE(symbols));
	struct symbol s;

	(void)state;
	assert_true(symbols_find(t, T, &s));
	assert_int_equal(s.size, TEXT_END - T);
	assert_name(t, TEXT_END - 1, "tail");
	assert_name(t, TEXT_END, NULL);
	symbols_free(t);
}

static void no_symbols(void **state)
{
	static const struct test_symbol data[] = { { "x", TEST_DATA, 8, STB_GLOBAL, STT_OBJECT,
						     0 } };
	struct symbols *t = (void *)&data;
	struct object_info info;
	struct test_elf e;

	(void)state;
	test_elf_init(&e);
	assert_int_equal(object_info_read(&e.source, &info), 0);
	assert_int_equal(symbols_read(&e.source, &info, &t), -ENOENT);
	test_elf_symbols(&e, S_SYMTAB, data, 1);
	assert_int_equal(symbols_read(&e.source, &info, &t), -ENOENT);
	assert_ptr_equal(t, &data);
	assert_null(symbols_free(NULL));
}

struct loaded {
	const char *like; /* part of the path */
	char path[4096];
	uintptr_t base;
};

static int find_loaded(struct dl_phdr_info *l, size_t size, void *ctx)
{
	struct loaded *want = ctx;

	(void)size;
	if (!strstr(l->dlpi_name, want->like))
		return 0;
	(void)snprintf(want->path, sizeof(want->path), "%s", l->dlpi_name);
	want->base = l->dlpi_addr;
	return 1;
}

static struct symbols *symbols_of_file(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct object_source s;
	struct object_info info;
	struct symbols *t = NULL;

	assert_true(fd >= 0);
	assert_int_equal(object_source_fd(&s, fd), 0);
	assert_int_equal(object_info_read(&s, &info), 0);
	assert_int_equal(symbols_read(&s, &info, &t), 0);
	return t;
}

/* The dynamic linker's own lookup is the oracle for what is exported. */
static void libc_agrees_with_the_loader(void **state)
{
	static const char *const names[] = { "printf", "qsort", "getaddrinfo", "fopen64",
					     "regcomp" };
	static const char *const plain[] = { "puts", "malloc", "nanosleep" };
	struct loaded libc = { .like = "/libc.so" };
	struct symbols *t;

	(void)state;
	if (!dl_iterate_phdr(find_loaded, &libc))
		skip();
	t = symbols_of_file(libc.path);
	assert_true(symbols_count(t) > 1000);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		void *handle = dlopen(libc.path, RTLD_NOLOAD | RTLD_LAZY);
		char *address = dlsym(handle, names[i]);
		const Elf64_Sym *elf = NULL;
		struct symbol s, other;
		Dl_info info;

		assert_non_null(address);
		assert_int_not_equal(dladdr1(address, &info, (void **)&elf, RTLD_DL_SYMENT), 0);
		assert_true(symbols_find(t, (uintptr_t)address - libc.base, &s));
		assert_int_equal(s.vaddr, elf->st_value);
		assert_int_equal(s.size, elf->st_size);
		/* Some alias of it: the same place by its own name. */
		assert_ptr_equal(dlsym(handle, s.name) ? dlsym(handle, s.name) : address, address);
		assert_true(symbols_find(t, s.vaddr + s.size - 1, &other));
		dlclose(handle);
	}
	/* Each of these has aliases that begin with underscores. */
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
		char *address = dlsym(RTLD_NEXT, plain[i]);
		struct symbol s;

		/* A sanitizer has its own. */
		if (symbols_find(t, (uintptr_t)address - libc.base, &s))
			assert_string_equal(s.name, plain[i]);
	}
	symbols_free(t);
}

static void this_program_knows_itself(void **state)
{
	struct loaded self = { .like = "" };
	struct symbols *t = symbols_of_file("/proc/self/exe");

	(void)state;
	assert_int_equal(dl_iterate_phdr(find_loaded, &self), 1);
	assert_name(t, (uintptr_t)this_program_knows_itself - self.base,
		    "this_program_knows_itself");
	assert_name(t, (uintptr_t)symbols_find - self.base, "symbols_find");
	assert_name(t, (uintptr_t)find_loaded - self.base + 1, "find_loaded");
	symbols_free(t);
}

/* The kernel's image has section headers and .dynsym: it is read from memory like a file. */
static void vdso_from_memory(void **state)
{
	_cleanup_fclose_ FILE *maps = fopen("/proc/self/maps", "re");
	struct object_memory m = { 0 };
	struct object_source source;
	struct object_info info;
	struct symbols *t;
	struct symbol s;
	char line[512];
	bool found = false;

	(void)state;
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		uintptr_t start, end;

		if (strstr(line, "[vdso]") &&
		    sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &start, &end) == 2)
			m = (struct object_memory){ (void *)start, end - start };
	}
	if (!m.len)
		skip();
	object_source_memory(&source, &m);
	assert_int_equal(object_info_read(&source, &info), 0);
	assert_int_equal(symbols_read(&source, &info, &t), 0);
	for (uint64_t vaddr = 0; vaddr < m.len && !found; vaddr++)
		found = symbols_find(t, vaddr, &s) && strstr(s.name, "clock_gettime");
	assert_true(found);
	symbols_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_end_where_their_size_ends),
		cmocka_unit_test(the_innermost_name_wins),
		cmocka_unit_test(names_without_size_have_a_reach),
		cmocka_unit_test(one_name_an_address),
		cmocka_unit_test(versions_are_cut),
		cmocka_unit_test(both_tables_are_read),
		cmocka_unit_test(sizes_end_with_the_code),
		cmocka_unit_test(no_symbols),
		cmocka_unit_test(libc_agrees_with_the_loader),
		cmocka_unit_test(this_program_knows_itself),
		cmocka_unit_test(vdso_from_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
