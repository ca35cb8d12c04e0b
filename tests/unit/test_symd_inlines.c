/* SPDX-License-Identifier: BSD-2-Clause */
/* The worker's answers about inlined functions, and lies about them (misbehave.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <time.h>
#include "base/file.h"
#include "symd/protocol.h"
#include "symd/symd.h"

#define WORKER TEST_WORKLOADS "/misbehaving-symd"
#define MANY   1000

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

static int check_inlines(const char *names, size_t len, uint64_t count)
{
	return symd_inlines_check(names, len, count);
}

/* What the worker says of inlined functions is not believed either. */
static void test_inlines_reply(void **state)
{
	char many[INLINES_DEPTH_MAX * 2 + 2], long_name[SYMD_INLINE_NAME_MAX + 1] = { 0 };

	(void)state;
	assert_int_equal(check_inlines("", 0, 0), 0);
	assert_int_equal(check_inlines("a\0bc", 5, 2), 0);
	assert_int_equal(check_inlines("a\0bc", 5, 1), -EBADMSG);
	assert_int_equal(check_inlines("a\0bc", 5, 3), -EBADMSG);
	assert_int_equal(check_inlines("a\0bc", 4, 2), -EBADMSG); /* not ended */
	assert_int_equal(check_inlines("a\0\0b", 5, 3), -EBADMSG);
	assert_int_equal(check_inlines("a", 2, 0), -EBADMSG);
	assert_int_equal(check_inlines("", 0, 1), -EBADMSG);
	assert_int_equal(check_inlines("a", 2, UINT64_MAX), -EBADMSG);
	for (size_t i = 0; i < sizeof(many); i += 2)
		memcpy(many + i, "x", 2);
	assert_int_equal(check_inlines(many, sizeof(many) - 2, INLINES_DEPTH_MAX), 0);
	assert_int_equal(check_inlines(many, sizeof(many), INLINES_DEPTH_MAX + 1), -EBADMSG);
	memset(long_name, 'x', SYMD_INLINE_NAME_MAX);
	assert_int_equal(check_inlines(long_name, sizeof(long_name), 1), -EBADMSG);
	assert_int_equal(check_inlines(long_name + 1, sizeof(long_name) - 1, 1), 0);
}

static inline __attribute__((always_inline)) void inlined_here(uint64_t *ret_at)
{
	__asm__ volatile("lea 0(%%rip), %0" : "=r"(*ret_at));
}

/* Where this program is loaded: what it says of addresses is in those of its file. */
static int first_load(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size;
	*(uint64_t *)ctx = info->dlpi_addr;
	return 1;
}

static void test_inlines(void **state)
{
	struct symd *s = *state;
	_cleanup_close_ int fd = own_program(), text = file_with("x"), large = file_with("x");
	_cleanup_buf_ struct buf out;
	uint64_t at, bias;
	double began;

	buf_init(&out, 65536);
	inlined_here(&at);
	(void)dl_iterate_phdr(first_load, &bias);
	if (!inlines_supported()) {
		assert_int_equal(symd_inlines(s, fd, at - bias, &out), -ENOTSUP);
		skip();
	}
	assert_int_equal(symd_inlines(s, fd, at - bias - 1, &out), 1);
	assert_int_equal(out.len, sizeof("inlined_here"));
	assert_string_equal(out.data, "inlined_here");
	assert_int_equal(symd_inlines(s, fd, 1, &out), -ENOENT);
	/* read once */
	began = seconds();
	for (int i = 0; i < MANY; i++) {
		buf_clear(&out);
		assert_int_equal(symd_inlines(s, fd, at - bias - 1, &out), 1);
	}
	assert_true(seconds() - began < 5);
	buf_clear(&out);
	assert_int_equal(symd_inlines(s, text, 1, &out), -ENOEXEC);
	assert_int_equal(ftruncate(large, (off_t)SYMD_INLINES_FILE_MAX + 1), 0);
	assert_int_equal(symd_inlines(s, large, 1, &out), -EFBIG);
	assert_int_equal(out.len, 0);
	assert_int_equal(symd_inlines(s, fd, at - bias - 1, &out), 1);
	assert_int_equal(symd_killed(s), 0);
}

/* A count without names, as "unsealed" and the like put it into the reply. */
static void test_forged_inlines(void **state)
{
	static const char *const replies[] = { "short", "serial", "positive", "huge", "crash" };
	_cleanup_buf_ struct buf out;

	buf_init(&out, 65536);
	for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
		_cleanup_close_ int fd = told_to(replies[i]);

		assert_int_equal(symd_inlines(*state, fd, 1, &out), -ECANCELED);
		assert_int_equal(symd_inlines(*state, fd, 1, &out), -ECANCELED);
		assert_int_equal(out.len, 0);
	}
	assert_int_equal(symd_killed(*state), ARRAY_SIZE(replies));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inlines_reply),
		cmocka_unit_test_setup_teardown(test_inlines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged_inlines, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
