/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The worker that reads files, and what foldd does when a file gets the better of it. The worker
 * here is one that a file can tell to misbehave (misbehave.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include "base/file.h"
#include "symd/protocol.h"
#include "symd/symd.h"

#define WORKER  TEST_WORKLOADS "/misbehaving-symd"
#define MANY    1000
#define STALL_S (SYMD_REQUEST_MS / 1000.0)

static int setup(void **state)
{
	struct symd *s;
	int err = symd_new_at(WORKER, &s);

	if (err)
		print_message("%s: %s\n", WORKER, strerror(-err));
	*state = s;
	return err;
}

static int teardown(void **state)
{
	(void)symd_free(*state);
	return 0;
}

static int own_program(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int file_with(const char *text)
{
	char name[] = "/tmp/foldd-symd-XXXXXX";
	int fd = mkostemp(name, O_CLOEXEC);

	assert_true(fd >= 0);
	(void)unlink(name);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static int told_to(const char *what)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "MISBEHAVE %s", what);
	return file_with(text);
}

static double seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int count_fds(pid_t pid)
{
	char path[64];
	_cleanup_closedir_ DIR *dir = NULL;
	int n = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	return n - 2;
}

/* It still answers, and right. */
static void assert_well(struct symd *s)
{
	_cleanup_close_ int fd = own_program();
	struct object_info *info = malloc(sizeof(*info));

	assert_non_null(info);
	assert_int_equal(symd_info(s, fd, info), 0);
	assert_int_equal(info->machine, 62 /* EM_X86_64 */);
	assert_true(info->has_symtab);
	assert_true(info->n_segments > 1);
	free(info);
}

static const struct symd_refusal *last_refusal(const struct symd *s)
{
	const struct symd_refusal *last = NULL, *r;

	for (size_t i = 0; (r = symd_refused_file(s, i)); i++)
		last = r;
	return last;
}

static void test_like_reading_here(void **state)
{
	struct symd *s = *state;
	_cleanup_close_ int fd = own_program();
	_cleanup_(symd_symbols_free) struct symd_symbols *theirs = NULL;
	_cleanup_(symd_rows_free) struct symd_rows *rows = NULL;
	_cleanup_(symbols_free) struct symbols *ours = NULL;
	_cleanup_(cfi_table_free) struct cfi_table *table = NULL;
	struct object_info a, b;
	struct object_source source;
	struct cfi_stats stats;
	struct cfi_sink sink;
	uint32_t crc, their_crc;

	assert_int_equal(object_source_fd(&source, fd), 0);
	assert_int_equal(object_info_read(&source, &a), 0);
	assert_int_equal(symd_info(s, fd, &b), 0);
	assert_memory_equal(a.build_id, b.build_id, sizeof(a.build_id));
	assert_int_equal(a.n_segments, b.n_segments);
	for (size_t i = 0; i < a.n_segments; i++) {
		assert_int_equal(a.segments[i].vaddr, b.segments[i].vaddr);
		assert_int_equal(a.segments[i].executable, b.segments[i].executable);
	}
	assert_int_equal(symbols_read(&source, &a, &ours), 0);
	assert_int_equal(symd_symbols(s, fd, &theirs), 0);
	assert_int_equal(symd_symbols_count(theirs), symbols_count(ours));
	assert_int_equal(cfi_table_new(&table), 0);
	cfi_table_sink(table, &sink);
	assert_int_equal(cfi_build(&source, &a, &sink, &stats), 0);
	assert_int_equal(symd_rows(s, fd, &rows), 0);
	assert_int_equal(symd_rows_stats(rows)->rows, stats.rows);
	assert_int_equal(symd_rows_table(rows)->n_rules, table->n_rules);
	for (uint64_t at = 0; at < source.size; at += 7) {
		struct cfi_rule x = cfi_lookup(table, at),
				y = cfi_lookup(symd_rows_table(rows), at);
		struct symbol p, q;
		bool found = symbols_find(ours, at, &p);

		assert_memory_equal(&x, &y, sizeof(x));
		assert_int_equal(symd_symbols_find(theirs, at, &q), found);
		if (found)
			assert_string_equal(p.name, q.name);
	}
	assert_int_equal(object_crc32(&source, &crc), 0);
	assert_int_equal(symd_crc(s, fd, &their_crc), 0);
	assert_int_equal(crc, their_crc);
	assert_true(symd_cpu_s(s) > 0);
	assert_int_equal(symd_killed(s), 0);
}

static void test_errors(void **state)
{
	struct symd *s = *state;
	_cleanup_close_ int text = file_with("#!/bin/sh\necho this is no ELF file\n");
	_cleanup_close_ int damaged = file_with("\177ELF\2\1\1"), null = -1, dir = -1;
	struct symd_symbols *symbols;
	struct object_info info;
	struct symd_rows *rows;
	int ends[2];

	assert_int_equal(symd_info(s, text, &info), -ENOEXEC);
	assert_int_equal(symd_symbols(s, text, &symbols), -ENOEXEC);
	assert_int_equal(symd_rows(s, text, &rows), -ENOEXEC);
	assert_true(symd_info(s, damaged, &info) < 0);
	assert_int_equal(symd_info(s, -1, &info), -EBADF);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(symd_info(s, null, &info), -EINVAL);
	assert_int_equal(symd_info(s, dir, &info), -EINVAL);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(symd_info(s, ends[0], &info), -EINVAL);
	assert_int_equal(symd_rows(s, ends[0], &rows), -EINVAL);
	(void)close(ends[0]);
	(void)close(ends[1]);
	assert_int_equal(symd_killed(s), 0);
	assert_null(symd_refused_file(s, 0));
	assert_well(s);
}

static void test_demangle(void **state)
{
	static const char *const names[][2] = {
		{ "_ZN3foo3barEi", "foo::bar(int)" },
		{ "_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad" },
	};
	static const char *const plain[] = { "main", "_Z", "_Zx", "", "_", "__libc_start_main" };
	struct symd *s = *state;
	_cleanup_close_ int fd = own_program();
	_cleanup_(symd_symbols_free) struct symd_symbols *t = NULL;
	_cleanup_buf_ struct buf out;

	buf_init(&out, 4096);
	assert_int_equal(symd_symbols(s, fd, &t), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		buf_clear(&out);
		assert_int_equal(symd_demangle(s, t, names[i][0], &out), 0);
		assert_string_equal(out.data, names[i][1]);
	}
	buf_clear(&out);
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		assert_int_equal(symd_demangle(s, t, plain[i], &out), -ENOENT);
	assert_string_equal(out.data, "");
}

static void status_line(pid_t pid, const char *key, char *ret, size_t size)
{
	_cleanup_buf_ struct buf text;
	char path[64];
	const char *at;

	buf_init(&text, 16384);
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	assert_int_equal(file_read(path, &text), 0);
	at = strstr(text.data, key);
	assert_non_null(at);
	at += strlen(key) + 1;
	(void)snprintf(ret, size, "%.*s", (int)strcspn(at, "\n"), at);
}

/* What the kernel says of the worker. */
static void test_sandbox(void **state)
{
	struct symd *s = *state;
	pid_t pid = symd_pid(s);
	char line[128];

	assert_well(s);
	status_line(pid, "\nCapPrm:", line, sizeof(line));
	assert_int_equal(strtoull(line, NULL, 16), 0);
	status_line(pid, "\nCapEff:", line, sizeof(line));
	assert_int_equal(strtoull(line, NULL, 16), 0);
	status_line(pid, "\nNoNewPrivs:", line, sizeof(line));
	assert_int_equal(atoi(line), 1);
	status_line(pid, "\nSeccomp:", line, sizeof(line));
	assert_int_equal(atoi(line), 2);
	status_line(pid, "\nUid:", line, sizeof(line));
	assert_int_equal(symd_is_nobody(s), atoi(line) == 65534);
	if (!geteuid())
		print_message("nobody: %d, landlock: %d\n", symd_is_nobody(s),
			      symd_has_landlock(s));
	/* the socket, and three times /dev/null; root alone may look */
	if (count_fds(pid) >= 0)
		assert_int_equal(count_fds(pid), 4);
}

static void assert_refused(struct symd *s, const char *what, enum symd_reason reason)
{
	_cleanup_close_ int fd = told_to(what);
	const struct symd_refusal *r;
	struct object_info info;
	uint64_t killed = symd_killed(s), refused = symd_refused(s);
	int err = symd_info(s, fd, &info);

	if (err != -ECANCELED)
		fail_msg("%s: %d", what, err);
	assert_int_equal(symd_killed(s), killed + 1);
	r = last_refusal(s);
	assert_non_null(r);
	if (r->reason != reason)
		fail_msg("%s: %s", what, symd_reason_text(r->reason));
	assert_non_null(strstr(r->path, "foldd-symd-"));
	/* and never again */
	assert_int_equal(symd_info(s, fd, &info), -ECANCELED);
	assert_int_equal(symd_killed(s), killed + 1);
	assert_int_equal(symd_refused(s), refused + 1);
	/* until it is another file */
	assert_int_equal(ftruncate(fd, 3), 0);
	assert_int_equal(symd_info(s, fd, &info), -ENOEXEC);
	assert_well(s);
}

static void test_forbidden_calls(void **state)
{
	static const char *const calls[] = { "getpid",      "open",   "socket()", "fork",  "kill",
					     "exec memory", "ptrace", "prctl",    "crash", "exit" };

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		assert_refused(*state, calls[i], SYMD_CRASHED);
}

static void test_forged_replies(void **state)
{
	static const char *const replies[] = { "short", "empty", "magic",    "serial",
					       "op",    "flags", "positive", "error+fd" };

	for (size_t i = 0; i < ARRAY_SIZE(replies); i++)
		assert_refused(*state, replies[i], SYMD_BAD_REPLY);
}

static void test_forged_tables(void **state)
{
	static const char *const tables[] = { "unsealed", "half sealed", "zeroes", "less",
					      "huge",     "socket",      "empty" };
	struct symd *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		_cleanup_close_ int a = told_to(tables[i]), b = told_to(tables[i]);
		struct symd_symbols *symbols;
		struct symd_rows *rows;

		assert_int_equal(symd_symbols(s, a, &symbols), -ECANCELED);
		assert_int_equal(last_refusal(s)->reason, SYMD_BAD_REPLY);
		assert_int_equal(symd_rows(s, b, &rows), -ECANCELED);
		assert_int_equal(last_refusal(s)->reason, SYMD_BAD_REPLY);
	}
	assert_int_equal(symd_killed(s), 2 * ARRAY_SIZE(tables));
	assert_well(s);
}

static void test_stalled(void **state)
{
	struct symd *s = *state;
	double began = seconds();
	pid_t first = symd_pid(s);

	assert_refused(s, "spin", SYMD_STALLED);
	assert_in_range((uint64_t)((seconds() - began) * 1000), SYMD_REQUEST_MS,
			SYMD_REQUEST_MS + 1500);
	assert_int_not_equal(symd_pid(s), first);
	/* the next one gets less time */
	began = seconds();
	assert_refused(s, "spin", SYMD_STALLED);
	assert_true(seconds() - began < STALL_S * 0.9);
}

static void test_stopped(void **state)
{
	struct symd *s = *state;
	_cleanup_close_ int fd = file_with("innocent");
	pid_t first = symd_pid(s);
	struct object_info info;

	assert_int_equal(kill(first, SIGSTOP), 0);
	assert_int_equal(symd_info(s, fd, &info), -ECANCELED);
	assert_int_equal(last_refusal(s)->reason, SYMD_STALLED);
	assert_well(s);
	assert_int_equal(kill(first, 0), -1);
	assert_int_equal(errno, ESRCH);
}

/* Somebody else's doing is no reason to refuse a file. */
static void test_killed(void **state)
{
	struct symd *s = *state;
	pid_t first = symd_pid(s);
	siginfo_t info;

	assert_int_equal(kill(first, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)first, &info, WEXITED | WNOWAIT), 0);
	assert_well(s);
	assert_int_not_equal(symd_pid(s), first);
	assert_int_equal(symd_killed(s), 0);
	assert_null(symd_refused_file(s, 0));
}

/* Workers are started so and so often; then there are none for a while, and no waiting. */
static void test_storm(void **state)
{
	struct symd *s = *state;
	int fds[2 * SYMD_STARTS_MAX], n = 0, err = 0;
	double began = seconds();
	struct object_info info;

	/* All at once, since the inode of a removed file comes back as that of the next one. */
	while (n < (int)ARRAY_SIZE(fds) && err != -EAGAIN) {
		fds[n] = told_to("crash");
		err = symd_info(s, fds[n++], &info);
		assert_true(err == -ECANCELED || err == -EAGAIN);
	}
	while (n)
		(void)close(fds[--n]);
	assert_int_equal(err, -EAGAIN);
	assert_true(symd_refused(s) > 0);
	assert_true(seconds() - began < 20);
	for (int i = 0; i < 30 && err == -EAGAIN; i++) {
		_cleanup_close_ int fd = own_program();

		(void)usleep(100000);
		err = symd_info(s, fd, &info);
	}
	assert_int_equal(err, 0);
}

static void test_nothing_is_left(void **state)
{
	struct symd *s = *state;
	_cleanup_close_ int fd = own_program();
	int fds = 0;
	size_t bytes = 0;

	for (int i = 0; i < MANY; i++) {
		_cleanup_(symd_symbols_free) struct symd_symbols *symbols = NULL;
		_cleanup_(symd_rows_free) struct symd_rows *rows = NULL;
		_cleanup_close_ int text = file_with("x");
		struct object_info info;

		assert_int_equal(symd_info(s, text, &info), -ENOEXEC);
		assert_int_equal(symd_symbols(s, fd, &symbols), 0);
		assert_int_equal(symd_rows(s, fd, &rows), 0);
		if (i == 10) {
			fds = count_fds(getpid());
			bytes = mallinfo2().uordblks;
		}
	}
	assert_true(mallinfo2().uordblks <= bytes);
	assert_int_equal(count_fds(getpid()) + 1, fds); /* text is closed */
	assert_int_equal(symd_killed(s), 0);
}

/* At the end of foldd there is no worker left, whatever ended it. */
static void test_end(void **state)
{
	struct symd *s;
	pid_t pid;

	(void)state;
	assert_int_equal(symd_new_at(WORKER, &s), 0);
	pid = symd_pid(s);
	(void)symd_free(s);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(symd_new_at("/nonexistent/foldd-symd", &s), -ENOENT);
	assert_int_equal(symd_new_at("/bin/true", &s), -EPIPE);
	assert_int_equal(symd_new(&s), 0); /* beside this program */
	assert_well(s);
	(void)symd_free(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_like_reading_here),
		TEST(test_errors),
		TEST(test_demangle),
		TEST(test_sandbox),
		TEST(test_forbidden_calls),
		TEST(test_forged_replies),
		TEST(test_forged_tables),
		TEST(test_stalled),
		TEST(test_stopped),
		TEST(test_killed),
		TEST(test_storm),
		TEST(test_nothing_is_left),
		cmocka_unit_test(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
