/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of /proc/PID/maps, hostile ones included, and what /proc tells of this very process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "process/maps.h"
#include "process/procfs.h"

static int parse(const char *line, struct maps_line *ret)
{
	return maps_parse(line, strlen(line), ret);
}

static void test_file(void **state)
{
	struct maps_line l;

	(void)state;
	assert_int_equal(parse("561777e8a000-561777e90000 r-xp 00002000 fe:0a 247498"
			       "                     /usr/bin/head",
			       &l),
			 0);
	assert_int_equal(l.start, 0x561777e8a000);
	assert_int_equal(l.end, 0x561777e90000);
	assert_int_equal(l.pgoff, 0x2000);
	assert_int_equal(l.prot, PROT_READ | PROT_EXEC);
	assert_int_equal(l.id.major, 0xfe);
	assert_int_equal(l.id.minor, 0x0a);
	assert_int_equal(l.id.ino, 247498);
	assert_int_equal(l.id.build_id_len, 0);
	assert_string_equal(l.path, "/usr/bin/head");
}

static void test_no_path(void **state)
{
	struct maps_line l;

	(void)state;
	assert_int_equal(parse("1000-2000 rwxs 00000000 00:00 0 ", &l), 0);
	assert_string_equal(l.path, "");
	assert_int_equal(l.prot, PROT_READ | PROT_WRITE | PROT_EXEC);
	assert_int_equal(parse("1000-2000 ---p 00000000 00:00 0", &l), 0);
	assert_int_equal(l.prot, 0);
	assert_int_equal(parse("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0"
			       "                  [vsyscall]",
			       &l),
			 0);
	assert_string_equal(l.path, "[vsyscall]");
}

static void test_odd_paths(void **state)
{
	struct maps_line l;

	(void)state;
	assert_int_equal(parse("1000-2000 r-xp 0 00:00 1 /a b  c (deleted)", &l), 0);
	assert_string_equal(l.path, "/a b  c (deleted)");
	assert_int_equal(parse("1000-2000 r-xp 0 00:00 1 /a\\012b\\134\\01", &l), 0);
	assert_string_equal(l.path, "/a\nb\\134\\01");
	assert_int_equal(parse("1000-2000 r-xp 0 00:00 1 /\xff\x01;", &l), 0);
	assert_string_equal(l.path, "/\xff\x01;");
}

static void test_damaged(void **state)
{
	static const char *const lines[] = {
		"",
		"1000",
		"1000-",
		"1000-2000",
		"2000-1000 r-xp 0 00:00 1 /a",
		"1000-1000 r-xp 0 00:00 1 /a",
		"1000-2000 r-x 0 00:00 1 /a",
		"1000-2000 r-xp",
		"1000-2000 r-xp 0",
		"1000-2000 r-xp 0 00",
		"1000-2000 r-xp 0 00:00",
		"1000-2000 r-xp 0 00:00 x",
		"1000-2000 r-xp 0 00:00 1/a",
		"1000-2000 r-xp 0 123456789:00 1 /a",
		"11112222333344445-2000 r-xp 0 00:00 1 /a",
		"-1000-2000 r-xp 0 00:00 1 /a",
		"1000-2000 r-xp 0 00:00 99999999999999999999 /a",
	};
	struct maps_line l, before;

	(void)state;
	memset(&l, 0x5a, sizeof(l));
	before = l;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		if (parse(lines[i], &l) != -EBADMSG)
			fail_msg("taken: \"%s\"", lines[i]);
	assert_memory_equal(&l, &before, sizeof(l));
	/* a NUL in a path cannot come from the kernel */
	assert_int_equal(maps_parse("1000-2000 r-xp 0 00:00 1 /a\0b", 29, &l), -EBADMSG);
}

static void test_longest_path(void **state)
{
	char line[64 + FEED_PATH_MAX];
	struct maps_line l;
	int n = snprintf(line, sizeof(line), "1000-2000 r-xp 0 00:00 1 /");

	(void)state;
	memset(line + n, 'a', sizeof(line) - (size_t)n);
	assert_int_equal(maps_parse(line, (size_t)n + FEED_PATH_MAX - 2, &l), 0);
	assert_int_equal(strlen(l.path), FEED_PATH_MAX - 1);
	assert_int_equal(maps_parse(line, (size_t)n + FEED_PATH_MAX - 1, &l), -EBADMSG);
}

struct found {
	uint64_t code;
	unsigned int lines, hits;
};

static int look(void *ctx, const struct maps_line *l)
{
	struct found *f = ctx;

	f->lines++;
	assert_true(l->prot & PROT_EXEC);
	if (l->start <= f->code && f->code < l->end) {
		f->hits++;
		assert_true(l->id.ino != 0);
		assert_int_equal(l->path[0], '/');
	}
	return 0;
}

static int stop(void *ctx, const struct maps_line *l)
{
	(void)l;
	++*(int *)ctx;
	return -ECANCELED;
}

static void test_read_self(void **state)
{
	struct found f = { .code = (uint64_t)(uintptr_t)test_read_self };
	int calls = 0;

	(void)state;
	assert_int_equal(maps_read(getpid(), look, &f), 0);
	assert_int_equal(f.hits, 1);
	assert_true(f.lines > 1);
	assert_int_equal(maps_read(getpid(), stop, &calls), -ECANCELED);
	assert_int_equal(calls, 1);
	assert_int_equal(maps_read(1 << 23, look, &f), -ESRCH);
}

static void test_stat(void **state)
{
	static const char text[] = "42 (a ) S (\\n\\\\) S 1 2 3 0 -1 2097216 0 0 0 0 1 2 3 4 20 0 "
				   "7 0 123456 99 1";
	struct procfs_stat st;

	(void)state;
	assert_int_equal(procfs_parse_stat(text, strlen(text), &st), 0);
	assert_string_equal(st.comm, "a ) S (\n\\");
	assert_int_equal(st.state, 'S');
	assert_true(st.kernel_thread);
	assert_int_equal(st.threads, 7);
	assert_int_equal(st.start_ticks, 123456);
	for (size_t n = 0; n < strlen(text) - strlen("123456 99 1"); n++)
		assert_int_equal(procfs_parse_stat(text, n, &st), -EBADMSG);
	assert_int_equal(procfs_read_stat(getpid(), &st), 0);
	assert_false(st.kernel_thread);
	assert_true(procfs_alive(&st));
}

static void test_status(void **state)
{
	static const char text[] = "Name:\tUid: 1\nUmask:\t0022\nUid:\t1\t2\t3\t4\n"
				   "NStgid:\t9\t8\nNSpid:\t4711\t17\t1\nNSpgid:\t5\n";
	struct procfs_status st;

	(void)state;
	assert_int_equal(procfs_parse_status(text, strlen(text), &st), 0);
	assert_int_equal(st.euid, 2);
	assert_int_equal(st.ns_pid, 1);
	assert_int_equal(procfs_parse_status("", 0, &st), -EBADMSG);
	assert_int_equal(procfs_parse_status("Uid:\t1\nNSpid:\t\n", 15, &st), -EBADMSG);
	assert_int_equal(procfs_read_status(getpid(), &st), 0);
	assert_int_equal(st.euid, geteuid());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),         cmocka_unit_test(test_no_path),
		cmocka_unit_test(test_odd_paths),    cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_longest_path), cmocka_unit_test(test_read_self),
		cmocka_unit_test(test_stat),         cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
