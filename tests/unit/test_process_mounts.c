/* SPDX-License-Identifier: BSD-2-Clause */
/* Which file systems are not waited for, and what is told of files that are not opened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/cleanup.h"
#include "process/mounts.h"
#include "process/refused.h"

static void test_types(void **state)
{
	static const char *const stall[] = { "fuse", "fuseblk", "fuse.sshfs", "nfs",
					     "nfs4", "cifs",    "9p",         "ceph" };
	static const char *const well[] = {
		"",        "ext4", "overlay", "tmpfs", "btrfs", "xfs",
		"fusectl", "nfsd", "fus",     "fuse2", "proc",  ".fuse"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(stall); i++)
		assert_true(mounts_may_stall(stall[i], strlen(stall[i])));
	for (size_t i = 0; i < ARRAY_SIZE(well); i++)
		assert_false(mounts_may_stall(well[i], strlen(well[i])));
}

static void test_find(void **state)
{
	static const char text[] =
		"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
		"no line\n"
		"30 22 0:45 / /mnt\\040-\\040x rw shared:9 master:3 - fuse.sshfs host:/ rw\n"
		"31 22 0:46 / /half rw\n"
		"32 22 0:47 / /b rw - nfs4";
	const size_t len = sizeof(text) - 1;
	const char *type;
	size_t n = 0;

	(void)state;
	type = mounts_find(text, len, 8, 1, &n);
	assert_non_null(type);
	assert_int_equal(n, 4);
	assert_memory_equal(type, "ext4", n);
	type = mounts_find(text, len, 0, 45, &n);
	assert_non_null(type);
	assert_int_equal(n, 10);
	assert_memory_equal(type, "fuse.sshfs", n);
	assert_null(mounts_find(text, len, 0, 46, &n));
	type = mounts_find(text, len, 0, 47, &n);
	assert_non_null(type);
	assert_int_equal(n, 4);
	assert_null(mounts_find(text, len, 0, 4, &n));
	assert_null(mounts_find(text, 0, 8, 1, &n));
	for (size_t cut = 0; cut < len; cut++)
		(void)mounts_find(text, cut, 0, 47, &n);
}

static void test_own_root(void **state)
{
	struct statx st;

	(void)state;
	assert_int_equal(statx(-1, "/", 0, STATX_TYPE, &st), 0);
	assert_false(mounts_device_may_stall(0, st.stx_dev_major, st.stx_dev_minor));
	assert_false(mounts_device_may_stall(getpid(), st.stx_dev_major, st.stx_dev_minor));
	assert_false(mounts_device_may_stall(0, 4095, 1048575));
}

static void test_refused(void **state)
{
	struct refused *r = calloc(1, sizeof(*r));
	char path[2 * REFUSED_PATH_MAX];

	(void)state;
	assert_non_null(r);
	refused_add(r, "/gone", -ENOENT);
	assert_int_equal(r->count, 0);
	refused_add(r, "/pipe", -EINVAL);
	refused_add(r, "/pipe", -EINVAL);
	assert_int_equal(r->count, 1);
	assert_string_equal(r->files[0].path, "/pipe");
	assert_string_equal(r->files[0].why, "no regular file");
	for (int i = 0; i < 2 * REFUSED_FILES_MAX; i++) {
		(void)snprintf(path, sizeof(path), "/%0*d", (int)sizeof(path) - 2 - i % 7, i);
		path[0] = (char)('0' + i % 64);
		path[1] = (char)('0' + i / 64);
		refused_add(r, path, -EREMOTE);
	}
	assert_int_equal(r->n, REFUSED_FILES_MAX);
	assert_true(r->count > REFUSED_FILES_MAX);
	assert_int_equal(strlen(r->files[1].path), REFUSED_PATH_MAX - 1);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_own_root),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
