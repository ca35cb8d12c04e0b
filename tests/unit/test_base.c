/* SPDX-License-Identifier: BSD-2-Clause */
/* Buffers, tables, numbers in text, files that appear together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/table.h"
#include "base/text.h"

static void buf_grows_to_its_limit(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 300);
	assert_string_equal(b.data, "");
	for (int i = 0; i < 299; i++)
		assert_int_equal(buf_addc(&b, (char)('a' + i % 26)), 0);
	assert_int_equal(b.len, 299);
	assert_true(b.allocated <= 300);
	assert_int_equal(b.data[299], '\0');
	assert_int_equal(buf_addc(&b, 'x'), -EMSGSIZE);
	assert_int_equal(b.len, 299);
	/* The first failure stays, even for what would fit. */
	buf_truncate(&b, 10);
	assert_string_equal(b.data, "abcdefghij");
	assert_int_equal(buf_adds(&b, "k"), -EMSGSIZE);
	buf_clear(&b);
	assert_int_equal(buf_adds(&b, "k"), 0);
	assert_string_equal(b.data, "k");
	buf_release(&b);
	assert_string_equal(b.data, "");
}

static void buf_adds_nothing_partly(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 8);
	assert_int_equal(buf_adds(&b, "1234"), 0);
	assert_int_equal(buf_printf(&b, "%d", 5678), -EMSGSIZE);
	assert_string_equal(b.data, "1234");
	assert_null(buf_extend(&b, 1));
	buf_clear(&b);
	assert_int_equal(buf_printf(&b, "%s-%d", "abc", 123), 0);
	assert_string_equal(b.data, "abc-123");
	buf_clear(&b);
	assert_null(buf_extend(&b, SIZE_MAX));
	assert_int_equal(b.error, -EMSGSIZE);
	buf_release(&b);
}

static void buf_of_no_size(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 0);
	assert_int_equal(buf_add(&b, NULL, 0), -EMSGSIZE);
	buf_init(&b, 1);
	assert_int_equal(buf_add(&b, NULL, 0), 0);
	assert_string_equal(b.data, "");
	buf_clear(&b);
	buf_truncate(&b, 5); /* longer than it is: nothing */
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_addc(&b, 'x'), -EMSGSIZE);
	buf_release(&b);
}

static void buf_keeps_nul_bytes(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 64);
	assert_int_equal(buf_add(&b, "a\0b", 3), 0);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "a\0b", 4);
	buf_release(&b);
}

static bool equal_number(const void *owner, uint32_t value, const void *key)
{
	return ((const uint64_t *)owner)[value] == *(const uint64_t *)key;
}

static uint32_t find_number(const struct table *t, const uint64_t *numbers, uint64_t key)
{
	return table_find(t, table_hash(&key, sizeof(key)), &key, equal_number, numbers);
}

static void table_holds_what_was_put_in(void **state)
{
	enum { N = 5000 };
	struct table t = { 0 };
	uint64_t *numbers = calloc(N, sizeof(*numbers));

	(void)state;
	assert_non_null(numbers);
	assert_int_equal(find_number(&t, numbers, 1), TABLE_NONE);
	table_remove(&t, 1, 1);
	for (uint32_t i = 0; i < N; i++) {
		numbers[i] = (uint64_t)i * 0x9e3779b97f4a7c15ULL;
		assert_int_equal(table_insert(&t, table_hash(&numbers[i], 8), i), 0);
	}
	assert_int_equal(t.count, N);
	for (uint32_t i = 0; i < N; i += 2)
		table_remove(&t, table_hash(&numbers[i], 8), i);
	assert_int_equal(t.count, N / 2);
	table_remove(&t, table_hash(&numbers[0], 8), 0); /* again: no error */
	assert_int_equal(t.count, N / 2);
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(find_number(&t, numbers, numbers[i]), i % 2 ? i : TABLE_NONE);
	table_release(&t);
	assert_int_equal(find_number(&t, numbers, numbers[1]), TABLE_NONE);
	free(numbers);
}

/* Everything in one chain: equality decides, tombstones do not end the search. */
static void table_of_equal_hashes(void **state)
{
	uint64_t numbers[40];
	struct table t = { 0 };

	(void)state;
	for (uint32_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		numbers[i] = i * 10;
		assert_int_equal(table_insert(&t, 7, i), 0);
	}
	table_remove(&t, 7, 0);
	table_remove(&t, 7, 20);
	table_remove(&t, 8, 21); /* another hash: another entry */
	for (uint32_t i = 0; i < ARRAY_SIZE(numbers); i++)
		assert_int_equal(table_find(&t, 7, &numbers[i], equal_number, numbers),
				 i == 0 || i == 20 ? TABLE_NONE : i);
	table_release(&t);
}

/* Entries that come and go for months do not make the table grow. */
static void table_reuses_tombstones(void **state)
{
	uint64_t numbers[8] = { 0 };
	struct table t = { 0 };

	(void)state;
	for (uint64_t i = 0; i < 100000; i++) {
		uint32_t slot = i % ARRAY_SIZE(numbers);

		if (i >= ARRAY_SIZE(numbers))
			table_remove(&t, table_hash(&numbers[slot], 8), slot);
		numbers[slot] = i;
		assert_int_equal(table_insert(&t, table_hash(&numbers[slot], 8), slot), 0);
		assert_true(t.mask < 64);
	}
	assert_int_equal(t.count, ARRAY_SIZE(numbers));
	table_release(&t);
}

static void durations(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {
		{ "500ms", 500000000ULL },
		{ "30s", 30000000000ULL },
		{ "5m", 300000000000ULL },
		{ "2h", 7200000000000ULL },
		{ "100us", 100000 },
		{ "10ns", 10 },
		{ "0", 0 },
		{ "0s", 0 },
		{ "5", 5000000000ULL }, /* seconds */
		{ "1.5", 1500000000ULL },
		{ "1.5s", 1500000000 },
		{ "0.25ms", 250000 },
		{ "18446744073709551615ns", UINT64_MAX },
	};
	static const char *const bad[] = { "",      "s",    "-1s",  "+1s",  " 1s", "-5",
					   "1s ",   "1 s",  "1d",   "1sec", "1.s", ".5s",
					   "1..5s", "0x1s", "1e3s", "1S",   "ms",  "1s2m" };
	uint64_t ns = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(text_parse_duration(bad[i], &ns), -EINVAL);
	assert_int_equal(text_parse_duration("18446744073709551616ns", &ns), -ERANGE);
	assert_int_equal(text_parse_duration("18446744073709551615s", &ns), -ERANGE);
	assert_int_equal(text_parse_duration("5124096h", &ns), -ERANGE);
	assert_int_equal(ns, 42);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(text_parse_duration(good[i].text, &ns), 0);
		assert_int_equal(ns, good[i].ns);
	}
}

static void scanned_numbers(void **state)
{
	static const char text[] = "123abc";
	const char *p = text, *end = text + strlen(text);
	uint64_t v = 42;

	(void)state;
	assert_int_equal(text_scan_u64(&p, end, 10, &v), 0);
	assert_int_equal(v, 123);
	assert_ptr_equal(p, text + 3);
	assert_int_equal(text_scan_u64(&p, end, 10, &v), -EINVAL);
	assert_ptr_equal(p, text + 3);
	assert_int_equal(text_scan_u64(&p, end, 16, &v), 0);
	assert_int_equal(v, 0xabc);
	assert_ptr_equal(p, end);
	assert_int_equal(text_scan_u64(&p, end, 16, &v), -EINVAL); /* nothing behind end is read */
	p = text;
	assert_int_equal(text_scan_u64(&p, text + 2, 10, &v), 0);
	assert_int_equal(v, 12);
}

static int scan(const char *text, unsigned int base, uint64_t *ret)
{
	return text_scan_u64(&text, text + strlen(text), base, ret);
}

static void scanned_numbers_at_their_limits(void **state)
{
	uint64_t v = 42;

	(void)state;
	assert_int_equal(scan("18446744073709551615", 10, &v), 0);
	assert_true(v == UINT64_MAX);
	v = 42;
	assert_int_equal(scan("18446744073709551616", 10, &v), -ERANGE);
	assert_int_equal(scan("99999999999999999999999", 10, &v), -ERANGE);
	assert_int_equal(scan("10000000000000000", 16, &v), -ERANGE);
	assert_int_equal(v, 42);
	assert_int_equal(scan("ffffFFFFffffFFFF", 16, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(text_parse_u64("007", &v), 0);
	assert_int_equal(v, 7);
	assert_int_equal(text_parse_u64("7 ", &v), -EINVAL);
	assert_int_equal(text_parse_u64("-7", &v), -EINVAL);
	assert_int_equal(text_parse_u64("", &v), -EINVAL);
}

static void formatted_times(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{ 0, "0 ns" },           { 999, "999 ns" },       { 12000, "12 us" },
		{ 230000000, "230 ms" }, { 1500000000, "1.5 s" }, { 12345600000000, "12346 s" },
	};
	char out[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(text_format_ns(cases[i].ns, out, sizeof(out)), cases[i].text);
}

static void the_first_error_wins(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(err_set(&e, EXIT_PRIVILEGE, "cannot %s", "attach"), -1);
	assert_int_equal(err_set(&e, EXIT_RUNTIME, "later"), -1);
	assert_int_equal(err_hint(&e, "run as %s", "root"), -1);
	assert_int_equal(err_hint(&e, "later"), -1);
	assert_int_equal(e.status, EXIT_PRIVILEGE);
	assert_string_equal(e.what, "cannot attach");
	assert_string_equal(e.hint, "run as root");
}

struct dir {
	char path[64];
	int fd;
};

static int dir_setup(void **state)
{
	struct dir *d = malloc(sizeof(*d));

	if (!d)
		return -1;
	strcpy(d->path, "/tmp/foldd-test-XXXXXX");
	if (!mkdtemp(d->path))
		return -1;
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = d;
	return d->fd < 0 ? -1 : 0;
}

/* The names in the directory; forget removes them. */
static int dir_entries(struct dir *d, bool forget)
{
	_cleanup_closedir_ DIR *list = opendir(d->path);
	struct dirent *entry;
	int n = 0;

	assert_non_null(list);
	while ((entry = readdir(list))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (forget)
			(void)unlinkat(d->fd, entry->d_name, 0);
		n++;
	}
	return n;
}

static int dir_teardown(void **state)
{
	struct dir *d = *state;
	int err;

	(void)dir_entries(d, true);
	err = rmdir(d->path);
	(void)close(d->fd);
	free(d);
	return err;
}

static void assert_content(struct dir *d, const char *name, const char *text)
{
	_cleanup_buf_ struct buf b;

	buf_init(&b, 1 << 20);
	assert_int_equal(file_read_at(d->fd, name, &b), 0);
	assert_string_equal(b.data, text);
}

static void files_appear_together(void **state)
{
	struct dir *d = *state;
	struct file_set *s;
	struct stat st;

	assert_int_equal(file_set_new(d->fd, &s), 0);
	assert_int_equal(file_set_add(s, "a", "first", 5), 0);
	assert_int_equal(file_set_add(s, "b", "second", 6), 0);
	assert_int_equal(faccessat(d->fd, "a", F_OK, 0), -1);
	assert_int_equal(faccessat(d->fd, "b", F_OK, 0), -1);
	assert_int_equal(file_set_commit(s), 0);
	file_set_free(s);
	assert_int_equal(dir_entries(d, false), 2);
	assert_content(d, "a", "first");
	assert_content(d, "b", "second");
	assert_int_equal(fstatat(d->fd, "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 0137, 0); /* not for everyone */
}

static void nothing_appears_without_commit(void **state)
{
	struct dir *d = *state;
	struct file_set *s;

	assert_int_equal(file_set_new(d->fd, &s), 0);
	assert_int_equal(file_set_add(s, "a", "old", 3), 0);
	assert_int_equal(file_set_commit(s), 0);
	assert_int_equal(file_set_add(s, "a", "new", 3), 0);
	assert_int_equal(file_set_add(s, "b", "new", 3), 0);
	assert_content(d, "a", "old");
	assert_null(file_set_free(s));
	assert_int_equal(dir_entries(d, false), 1);
	assert_content(d, "a", "old");
	assert_null(file_set_free(NULL));
}

/* Somebody who can write there does not make us write through a link. */
static void links_are_not_followed(void **state)
{
	struct dir *d = *state;
	struct file_set *s;
	char name[64];

	(void)snprintf(name, sizeof(name), ".a.%d.tmp", (int)getpid());
	assert_int_equal(symlinkat("victim", d->fd, name), 0);
	assert_int_equal(file_set_new(d->fd, &s), 0);
	assert_int_equal(file_set_add(s, "a", "text", 4), 0);
	assert_int_equal(file_set_commit(s), 0);
	file_set_free(s);
	assert_int_equal(dir_entries(d, false), 1);
	assert_content(d, "a", "text");
}

static void file_set_refuses(void **state)
{
	struct dir *d = *state;
	struct file_set *s;
	char name[300];
	int err = 0;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(file_set_new(d->fd, &s), 0);
	assert_int_equal(file_set_add(s, name, "", 0), -ENAMETOOLONG);
	assert_int_equal(file_set_add(s, "no/such/dir", "", 0), -ENOENT);
	for (int i = 0; i < 1000 && !err; i++) {
		(void)snprintf(name, sizeof(name), "file%d", i);
		err = file_set_add(s, name, "", 0);
	}
	assert_int_equal(err, -ENOSPC);
	file_set_free(s);
	assert_int_equal(dir_entries(d, false), 0);
}

static void files_are_read_within_limits(void **state)
{
	struct dir *d = *state;
	_cleanup_close_ int fd = openat(d->fd, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	static char data[40000], back[sizeof(data)];
	struct buf b;

	memset(data, 'x', sizeof(data));
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
	assert_int_equal(file_pread(fd, back, sizeof(back), 0), sizeof(back));
	assert_memory_equal(data, back, sizeof(data));
	assert_int_equal(file_pread(fd, back, sizeof(back), sizeof(data) - 10), 10);
	assert_int_equal(file_pread(fd, back, 10, sizeof(data)), 0);
	assert_int_equal(file_pread(-1, back, 10, 0), -EBADF);
	buf_init(&b, sizeof(data) + 1);
	assert_int_equal(file_read_at(d->fd, "f", &b), 0);
	assert_int_equal(b.len, sizeof(data));
	buf_release(&b);
	buf_init(&b, sizeof(data));
	assert_int_equal(file_read_at(d->fd, "f", &b), -EMSGSIZE);
	buf_release(&b);
	assert_int_equal(file_read_at(d->fd, "none", &b), -ENOENT);
	buf_init(&b, 1 << 20);
	assert_int_equal(file_read("/proc/self/status", &b), 0); /* says that its size is 0 */
	assert_true(b.len > 100);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buf_grows_to_its_limit),
		cmocka_unit_test(buf_adds_nothing_partly),
		cmocka_unit_test(buf_of_no_size),
		cmocka_unit_test(buf_keeps_nul_bytes),
		cmocka_unit_test(table_holds_what_was_put_in),
		cmocka_unit_test(table_of_equal_hashes),
		cmocka_unit_test(table_reuses_tombstones),
		cmocka_unit_test(durations),
		cmocka_unit_test(scanned_numbers),
		cmocka_unit_test(scanned_numbers_at_their_limits),
		cmocka_unit_test(formatted_times),
		cmocka_unit_test(the_first_error_wins),
		cmocka_unit_test_setup_teardown(files_appear_together, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(nothing_appears_without_commit, dir_setup,
						dir_teardown),
		cmocka_unit_test_setup_teardown(links_are_not_followed, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(file_set_refuses, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(files_are_read_within_limits, dir_setup,
						dir_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
