/* SPDX-License-Identifier: BSD-2-Clause */
/* Inlined functions of a library built here by the compiler of this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "object/inlines.h"

static char dir[] = "/tmp/foldd-inline-XXXXXX";

/* C and C++, whichever compiler is here; the labels are where the addresses are taken from. */
static const char program[] =
	"#define I inline __attribute__((always_inline))\n"
	"#define LABEL(l) __asm__ volatile(\".globl \" #l \"\\n\" #l \": nop\")\n"
	"volatile int sink = 1;\n"
	"I int innermost(int x) { LABEL(mark); sink = x; return x * 7; }\n"
	"I int middle(int x) { return innermost(x + 1) ^ 0x55; }\n"
	"int outer(int x) { return middle(x) + 3; }\n"
	"int plain(int x) { LABEL(plain_mark); return x * sink; }\n";

static const char build[] =
	"cd %s && F='-O2 -g -shared -fPIC -o lib.so program.c' && "
	"if c++ -x c++ $F 2>/dev/null; then touch mangled; else ${CC:-cc} $F; fi && "
	"objcopy --only-keep-debug lib.so lib.debug && "
	"strip --strip-debug -o nodebug.so lib.so && "
	"{ objcopy --compress-debug-sections lib.debug packed.debug || cp lib.debug packed.debug; "
	"}";

struct names {
	char text[512];
	int stop_at;
	int n;
};

static int note(void *ctx, const char *name)
{
	struct names *names = ctx;
	size_t len = strlen(names->text);

	(void)snprintf(names->text + len, sizeof(names->text) - len, "%s;", name);
	return ++names->n == names->stop_at ? -ECANCELED : 0;
}

static int open_file(const char *name)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static uint64_t size_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_size;
}

/* Where a label is in the file, by the dynamic linker. */
static uint64_t address_of(const char *label)
{
	struct link_map *map;
	char path[256];
	void *handle;
	char *at;

	(void)snprintf(path, sizeof(path), "%s/lib.so", dir);
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	assert_non_null(handle);
	assert_int_equal(dlinfo(handle, RTLD_DI_LINKMAP, &map), 0);
	at = dlsym(handle, label);
	assert_non_null(at);
	at -= map->l_addr;
	dlclose(handle);
	return (uintptr_t)at;
}

/* Without libdw there is nothing to test but that it says so. */
static void need_libdw(void)
{
	struct inlines *n = NULL;

	if (inlines_supported())
		return;
	assert_int_equal(inlines_open(0, 0, &n), -ENOTSUP);
	assert_int_equal(object_inlines(0, 0, 0, note, NULL), -ENOTSUP);
	skip();
}

static void check_file(const char *name)
{
	_cleanup_close_ int fd = open_file(name);
	struct names names = { .n = 0 };
	char path[256];

	assert_int_equal(object_inlines(fd, size_of(fd), address_of("mark"), note, &names), 2);
	(void)snprintf(path, sizeof(path), "%s/mangled", dir);
	assert_string_equal(names.text, access(path, F_OK) ? "innermost;middle;"
							   : "innermost(int);middle(int);");
}

static void innermost_first(void **state)
{
	(void)state;
	need_libdw();
	check_file("lib.so");
}

static void by_a_separate_debug_file(void **state)
{
	(void)state;
	need_libdw();
	check_file("lib.debug");
	check_file("packed.debug");
}

static void none_inlined(void **state)
{
	_cleanup_(inlines_free) struct inlines *n = NULL;
	struct names names = { .n = 0 };
	int fd;

	(void)state;
	need_libdw();
	fd = open_file("lib.so");
	assert_int_equal(inlines_open(fd, size_of(fd), &n), 0);
	assert_int_equal(inlines_at(n, address_of("plain_mark"), note, &names), 0);
	assert_int_equal(inlines_at(n, address_of("sink"), note, &names), -ENOENT);
	assert_int_equal(inlines_at(n, 0, note, &names), -ENOENT);
	assert_int_equal(inlines_at(n, UINT64_MAX, note, &names), -ENOENT);
	assert_int_equal(names.n, 0);
	close(fd);
}

static void a_callback_can_stop(void **state)
{
	struct names names = { .stop_at = 1 };
	int fd;

	(void)state;
	need_libdw();
	fd = open_file("lib.so");
	assert_int_equal(object_inlines(fd, size_of(fd), address_of("mark"), note, &names),
			 -ECANCELED);
	assert_int_equal(names.n, 1);
	close(fd);
}

static void without_debug_information(void **state)
{
	struct inlines *n = NULL;
	int fd, err;

	(void)state;
	need_libdw();
	fd = open_file("nodebug.so");
	err = inlines_open(fd, size_of(fd), &n);
	assert_int_equal(err, -ENODATA);
	close(fd);
	fd = open_file("program.c");
	err = inlines_open(fd, size_of(fd), &n);
	assert_int_equal(err, -ENOEXEC);
	assert_null(n);
	close(fd);
	assert_null(inlines_free(NULL));
}

static int build_library(void **state)
{
	char text[1024];
	FILE *f;

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(text, sizeof(text), "%s/program.c", dir);
	f = fopen(text, "we");
	if (!f || fwrite(program, 1, strlen(program), f) != strlen(program) || fclose(f))
		return -1;
	(void)snprintf(text, sizeof(text), build, dir);
	return system(text) ? -1 : 0;
}

static int remove_library(void **state)
{
	char text[256];

	(void)state;
	(void)snprintf(text, sizeof(text), "rm -rf %s", dir);
	return system(text) ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(innermost_first),
		cmocka_unit_test(by_a_separate_debug_file),
		cmocka_unit_test(none_inlined),
		cmocka_unit_test(a_callback_can_stop),
		cmocka_unit_test(without_debug_information),
	};

	return cmocka_run_group_tests(tests, build_library, remove_library);
}
