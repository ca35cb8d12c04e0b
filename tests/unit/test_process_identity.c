/* SPDX-License-Identifier: BSD-2-Clause */
/* Two files with one build-id: who may speak for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "process/objects.h"
#include "test_object_elf.h"

#define SOMEBODY 65534

struct fixture {
	char dir[32];
	struct objects *objects;
	struct test_elf elf;
	struct file_identity id;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/foldd-ident-XXXXXX");
	if (!mkdtemp(f->dir) || objects_new(&f->objects))
		return -1;
	test_elf_init(&f->elf);
	f->id.build_id_len = sizeof(TEST_BUILD_ID) - 1;
	memcpy(f->id.build_id, TEST_BUILD_ID, f->id.build_id_len);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "a", "b", "c" };
	struct fixture *f = *state;
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(f->dir);
	(void)objects_free(f->objects);
	free(f);
	return 0;
}

static void make(const struct fixture *f, const char *name, uid_t owner, mode_t mode)
{
	_cleanup_close_ int fd = -1;
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, f->elf.bytes, f->elf.len), f->elf.len);
	assert_int_equal(fchown(fd, owner, owner), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

static uint32_t see(const struct fixture *f, const char *name)
{
	const struct mapped_at where = { .rootfd = -1 };
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	return objects_add(f->objects, path, &f->id, &where);
}

static void need_root(void)
{
	if (!geteuid())
		return;
	print_message("only root can give files away\n");
	skip();
}

/* Copies of a library in several places are one. */
static void test_copies(void **state)
{
	struct fixture *f = *state;
	uint32_t object;

	need_root();
	make(f, "a", 0, 0755);
	make(f, "b", 0, 0755);
	object = see(f, "a");
	assert_int_not_equal(object, OBJECT_NONE);
	assert_int_equal(see(f, "b"), object);
	assert_int_equal(see(f, "a"), object);
}

/* Somebody's file with the build-id of the system's library, and first. */
static void test_forged_first(void **state)
{
	struct fixture *f = *state;
	uint32_t forged, real;

	need_root();
	make(f, "a", SOMEBODY, 0755);
	make(f, "b", 0, 0755);
	make(f, "c", SOMEBODY, 0755);
	forged = see(f, "a");
	assert_int_not_equal(forged, OBJECT_NONE);
	assert_int_equal(see(f, "a"), forged);
	assert_int_not_equal(see(f, "c"), forged);
	real = see(f, "b");
	assert_int_not_equal(real, OBJECT_NONE);
	assert_int_not_equal(real, forged);
	assert_int_equal(see(f, "b"), real);
	assert_true(objects_get(f->objects, real)->fd >= 0);
	/* from now on the build-id means the library, even for those that pretend */
	assert_int_equal(see(f, "c"), real);
}

/* What all may write to is nobody's word. */
static void test_writable(void **state)
{
	struct fixture *f = *state;
	uint32_t writable;

	need_root();
	make(f, "a", 0, 0777);
	make(f, "b", 0, 0755);
	writable = see(f, "a");
	assert_int_not_equal(see(f, "b"), writable);
}

/* A file that cannot be opened does not get the names of one that says the same of itself. */
static void test_gone(void **state)
{
	struct fixture *f = *state;
	uint32_t forged, gone;

	need_root();
	make(f, "a", SOMEBODY, 0755);
	forged = see(f, "a");
	gone = see(f, "b");
	assert_int_not_equal(gone, forged);
	assert_int_not_equal(gone, OBJECT_NONE);
	assert_true(objects_get(f->objects, gone)->fd < 0);
	assert_int_equal(see(f, "b"), gone);
	make(f, "b", SOMEBODY, 0755);
	gone = see(f, "b");
	assert_int_not_equal(gone, forged);
	assert_true(objects_get(f->objects, gone)->fd >= 0);
	assert_int_equal(see(f, "a"), forged);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_copies),
		TEST(test_forged_first),
		TEST(test_writable),
		TEST(test_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
