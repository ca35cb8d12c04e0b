/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of frames: files, the vdso, perf maps and kallsyms, and what stays in brackets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include "process/kallsyms.h"
#include "process/names.h"
#include "process/perfmap.h"

struct fixture {
	struct objects *objects;
	struct processes *processes;
	struct names *names;
	struct process *self;
	struct buf out;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f || objects_new(&f->objects) || processes_new(f->objects, &f->processes) ||
	    processes_scan(f->processes, getpid()) ||
	    names_new(f->objects, f->processes, &f->names))
		return -1;
	f->self = processes_at(f->processes, getpid(), 0);
	buf_init(&f->out, 65536);
	*state = f;
	return !f->self;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	buf_release(&f->out);
	(void)names_free(f->names);
	(void)processes_free(f->processes);
	(void)objects_free(f->objects);
	free(f);
	return 0;
}

/* As a frame comes: the mapping gives the object and the offset in its file. */
static bool name_of(struct fixture *f, uint64_t address)
{
	const struct mapping *m = process_find(f->self, address);

	assert_non_null(m);
	buf_clear(&f->out);
	return names_object(f->names, m->object, address - m->bias, &f->out);
}

static uint64_t address_of(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

__attribute__((noinline)) int a_function_with_a_name(int x);
int a_function_with_a_name(int x)
{
	return x * 3 + 1;
}

static void test_own(void **state)
{
	struct fixture *f = *state;
	uint64_t at = address_of(a_function_with_a_name);

	assert_true(name_of(f, at));
	assert_string_equal(f->out.data, "a_function_with_a_name");
	assert_true(name_of(f, at + 1));
	assert_string_equal(f->out.data, "a_function_with_a_name");
	assert_true(name_of(f, address_of(test_own)));
	assert_string_equal(f->out.data, "test_own");
	assert_true(names_bytes(f->names) > 0);
}

/* Functions that have a single name in libc. */
static void test_libc(void **state)
{
	static const char *const names[] = { "qsort", "getenv", "rand", "abort", "bsearch" };
	struct fixture *f = *state;
	/* not by RTLD_DEFAULT: a sanitizer puts its own in their place */
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);

	if (!libc)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		void *p = dlsym(libc, names[i]);
		Dl_info info;

		assert_non_null(p);
		assert_true(dladdr(p, &info));
		assert_true(name_of(f, address_of(p)));
		assert_string_equal(f->out.data, info.dli_sname);
	}
	(void)dlclose(libc);
}

/* The entry of the program's segment that holds the PLT and such; no function reaches there. */
static void test_gap(void **state)
{
	struct fixture *f = *state;
	const struct mapping *m = process_find(f->self, address_of(test_gap));
	const struct object_file *file;
	char want[64];

	assert_non_null(m);
	file = objects_get(f->objects, m->object);
	assert_non_null(file);
	buf_clear(&f->out);
	/* past the end of the code */
	assert_false(name_of(f, m->end - 1));
	(void)snprintf(want, sizeof(want), "[%s+0x", strrchr(file->path, '/') + 1);
	assert_memory_equal(f->out.data, want, strlen(want));
	assert_int_equal(f->out.data[f->out.len - 1], ']');
	/* an offset that is in no segment stays one */
	buf_clear(&f->out);
	assert_false(names_object(f->names, m->object, 1ULL << 39, &f->out));
	(void)snprintf(want, sizeof(want), "[%s+0x8000000000]", strrchr(file->path, '/') + 1);
	assert_string_equal(f->out.data, want);
	buf_clear(&f->out);
	assert_false(names_object(f->names, 12345, 0x10, &f->out));
	assert_string_equal(f->out.data, "[unknown+0x10]");
}

/* What the vdso exports, arch/x86/entry/vdso/vdso.lds.S; each has an alias with "__vdso_". */
static bool is_vdso_function(const char *name)
{
	static const char *const names[] = { "clock_gettime",    "gettimeofday",
					     "getcpu",           "time",
					     "clock_getres",     "getrandom",
					     "sgx_enter_enclave" };

	if (!strncmp(name, "__vdso_", 7))
		name += 7;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static void test_vdso(void **state)
{
	struct fixture *f = *state;
	uint64_t start = getauxval(AT_SYSINFO_EHDR);
	bool found = false;

	if (!start)
		skip();
	assert_non_null(process_find(f->self, start));
	assert_int_equal(process_find(f->self, start)->object, OBJECT_VDSO);
	for (uint64_t at = start; at < start + 4096 && !found; at += 16) {
		if (!name_of(f, at))
			continue;
		assert_true(is_vdso_function(f->out.data));
		found = true;
	}
	assert_true(found);
	assert_false(name_of(f, start));
	assert_string_equal(f->out.data, "[vdso+0x0]");
}

static void test_kernel(void **state)
{
	struct fixture *f = *state;

	buf_clear(&f->out);
	assert_false(names_kernel(f->names, 0x1000, &f->out));
	assert_string_equal(f->out.data, "[kernel]");
}

static void test_jit_of_own_map(void **state)
{
	struct fixture *f = *state;
	char path[48];
	FILE *file;
	bool found;

	process_keep(f->self);
	assert_int_equal(process_perf_map(f->self), -ENOENT);
	(void)snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)f->self->ns_pid);
	file = fopen(path, "wx");
	assert_non_null(file);
	assert_true(fprintf(file, "1000 20 LazyCompile:~f /a b.js:1\n") > 0);
	assert_int_equal(fclose(file), 0);
	buf_clear(&f->out);
	found = names_jit(f->names, f->self->serial, 0x101f, &f->out);
	(void)unlink(path);
	assert_true(found);
	assert_string_equal(f->out.data, "LazyCompile:~f /a b.js:1");
	buf_clear(&f->out);
	assert_false(names_jit(f->names, f->self->serial, 0x1020, &f->out));
	assert_string_equal(f->out.data, "[jit]");
	buf_clear(&f->out);
	assert_false(names_jit(f->names, 4711, 0x1000, &f->out));
	assert_string_equal(f->out.data, "[jit]");
}

static void assert_jit(const struct perfmap *m, uint64_t address, const char *name)
{
	size_t len = 0;
	const char *p = perfmap_find(m, address, &len);

	if (!name) {
		assert_null(p);
		return;
	}
	assert_non_null(p);
	assert_int_equal(len, strlen(name));
	assert_memory_equal(p, name, len);
}

static void test_perfmap(void **state)
{
	static const char text[] = "100 100 outer\n"
				   "140 20 inner\n"
				   "400 10 old name\n"
				   "3f8 10 newer\n"
				   "zzz 10 no\n"
				   "500 0 empty\n"
				   "500 10\n"
				   "500\n"
				   "\n"
				   "0x500 10 prefix\n"
				   "-500 10 minus\n"
				   "fffffffffffffff0 20 wraps\n"
				   "11111111111111111 1 too long\n"
				   "600 10 a;b \x1b[31m 12\n"
				   "700 10 unfinished";
	struct perfmap *m;

	(void)state;
	assert_int_equal(perfmap_parse(text, strlen(text), &m), 0);
	assert_jit(m, 0xff, NULL);
	assert_jit(m, 0x100, "outer");
	assert_jit(m, 0x13f, "outer");
	assert_jit(m, 0x140, "inner");
	assert_jit(m, 0x15f, "inner");
	assert_jit(m, 0x160, "outer");
	assert_jit(m, 0x1ff, "outer");
	assert_jit(m, 0x200, NULL);
	assert_jit(m, 0x3f8, "newer");
	assert_jit(m, 0x407, "newer");
	assert_jit(m, 0x408, "old name");
	assert_jit(m, 0x410, NULL);
	assert_jit(m, 0x500, NULL);
	assert_jit(m, 0x600, "a;b \x1b[31m 12");
	assert_jit(m, 0x700, NULL);
	assert_jit(m, UINT64_MAX, NULL);
	(void)perfmap_free(m);
	assert_int_equal(perfmap_parse("", 0, &m), -ENOENT);
	assert_int_equal(perfmap_parse("\n\n", 2, &m), -ENOENT);
}

/* Random ranges against the plain rule: the last line that covers an address names it. */
static void test_perfmap_model(void **state)
{
	uint64_t random = 88172645463325252ULL;

	(void)state;
	for (int round = 0; round < 200; round++) {
		int owner[128];
		char text[4096], name[16];
		size_t len = 0;
		struct perfmap *m;

		memset(owner, 0xff, sizeof(owner));
		for (int line = 0; line < 24; line++) {
			unsigned int start, size;

			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			start = (unsigned int)(random % 100);
			size = 1 + (unsigned int)(random >> 32) % 28;
			for (unsigned int i = start; i < start + size; i++)
				owner[i] = line;
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%x %x n%d\n",
						start, size, line);
		}
		assert_int_equal(perfmap_parse(text, len, &m), 0);
		for (unsigned int i = 0; i < ARRAY_SIZE(owner); i++) {
			(void)snprintf(name, sizeof(name), "n%d", owner[i]);
			assert_jit(m, i, owner[i] < 0 ? NULL : name);
		}
		(void)perfmap_free(m);
	}
}

static const char kernel_text[] = "0000000000000000 A fixed_percpu_data\n"
				  "ffffffff81000000 T _stext\n"
				  "ffffffff81000000 T _text\n"
				  "ffffffff81000000 T first\n"
				  "ffffffff81000000 t alias_of_first\n"
				  "ffffffff81000200 T __sched_text_start\n"
				  "ffffffff81000200 t schedule\n"
				  "ffffffff81000300 D not_code\n"
				  "ffffffff81000400 W weak\n"
				  "ffffffff81000800 T __sched_text_end\n"
				  "ffffffff81000900 t later\n"
				  "ffffffff81001000 T _etext\n"
				  "ffffffff83000000 T _sinittext\n"
				  "damaged line\n"
				  "\n"
				  "ffffffffc0001000 t in_module\t[mod]\n"
				  "ffffffffc0001100 t last_of_module\t[mod]\n"
				  "ffffffffc0100000 t bpf_prog_1\t[bpf]\n";
static const char kernel_modules[] = "mod 8192 0 - Live 0xffffffffc0001000 (O)\n"
				     "damaged\n";

static void assert_kernel(const struct kallsyms *k, uint64_t address, const char *name,
			  const char *module)
{
	struct kallsyms_symbol s;

	assert_int_equal(kallsyms_find(k, address, &s), name != NULL);
	if (!name)
		return;
	assert_string_equal(s.name, name);
	if (module)
		assert_string_equal(s.module, module);
	else
		assert_null(s.module);
}

static void test_kallsyms(void **state)
{
	_cleanup_(kallsyms_free) struct kallsyms *k = NULL;

	(void)state;
	assert_int_equal(kallsyms_parse(kernel_text, strlen(kernel_text), kernel_modules,
					strlen(kernel_modules), &k),
			 0);
	assert_kernel(k, 0, NULL, NULL);
	assert_kernel(k, 0xffffffff80ffffff, NULL, NULL);
	assert_kernel(k, 0xffffffff81000000, "first", NULL);
	assert_kernel(k, 0xffffffff810001ff, "first", NULL);
	assert_kernel(k, 0xffffffff81000200, "schedule", NULL);
	assert_kernel(k, 0xffffffff81000310, "schedule", NULL);
	assert_kernel(k, 0xffffffff810007ff, "weak", NULL);
	assert_kernel(k, 0xffffffff81000800, NULL, NULL);
	assert_kernel(k, 0xffffffff81000fff, "later", NULL);
	assert_kernel(k, 0xffffffff81001000, NULL, NULL);
	assert_kernel(k, 0xffffffff83000010, NULL, NULL);
	assert_kernel(k, 0xffffffffc0000fff, NULL, NULL);
	assert_kernel(k, 0xffffffffc00010ff, "in_module", "mod");
	assert_kernel(k, 0xffffffffc0001100, "last_of_module", "mod");
	assert_kernel(k, 0xffffffffc0002fff, "last_of_module", "mod");
	assert_kernel(k, 0xffffffffc0003000, NULL, NULL);
	assert_kernel(k, 0xffffffffc0100010, "bpf_prog_1", "bpf");
	assert_kernel(k, 0xffffffffc0200010, NULL, NULL);
	assert_kernel(k, UINT64_MAX, NULL, NULL);
}

static void test_kallsyms_refused(void **state)
{
	static const char zeroed[] = "0000000000000000 T _stext\n0000000000000000 T schedule\n"
				     "0000000000000000 T _etext\n";
	static const char no_bounds[] = "ffffffff81000000 T schedule\n";
	struct kallsyms *k = NULL;

	(void)state;
	assert_int_equal(kallsyms_parse(zeroed, strlen(zeroed), "", 0, &k), -EPERM);
	assert_int_equal(kallsyms_parse(no_bounds, strlen(no_bounds), "", 0, &k), -ENOENT);
	assert_int_equal(kallsyms_parse("", 0, "", 0, &k), -EPERM);
	assert_null(k);
}

/* Where this kernel shows its symbols, each of a few is found at its own address. */
static void test_kallsyms_live(void **state)
{
	_cleanup_(kallsyms_free) struct kallsyms *k = NULL;
	struct fixture *f = *state;

	if (kallsyms_check()) {
		assert_non_null(names_kernel_problem(f->names));
		skip();
	}
	assert_null(names_kernel_problem(f->names));
	assert_int_equal(kallsyms_load(&k), 0);
	assert_true(kallsyms_count(k) > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_libc, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vdso, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kernel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_jit_of_own_map, setup, teardown),
		cmocka_unit_test(test_perfmap),
		cmocka_unit_test(test_perfmap_model),
		cmocka_unit_test(test_kallsyms),
		cmocka_unit_test(test_kallsyms_refused),
		cmocka_unit_test_setup_teardown(test_kallsyms_live, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
