/* SPDX-License-Identifier: BSD-2-Clause */
/* What may be opened of what a profiled process names, and what a mapping's file is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include "process/maps.h"
#include "process/open.h"

struct fixture {
	char dir[32];
	int fd;
	struct symd *symd;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/foldd-open-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	f->fd = open(f->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*state = f;
	return f->fd < 0 || symd_new(&f->symd);
}

static int teardown(void **state)
{
	static const char *const names[] = { "in/file", "in/link", "in/out",    "in/up",
					     "in/pipe", "in/self", "in/secret", "in" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (unlinkat(f->fd, names[i], 0))
			(void)!unlinkat(f->fd, names[i], AT_REMOVEDIR);
	(void)unlinkat(f->fd, "secret", 0);
	(void)rmdir(f->dir);
	(void)close(f->fd);
	(void)symd_free(f->symd);
	free(f);
	return 0;
}

static void write_file(int dirfd, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static int make_root(const struct fixture *f)
{
	int root;

	assert_int_equal(mkdirat(f->fd, "in", 0700), 0);
	root = openat(f->fd, "in", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(root >= 0);
	write_file(f->fd, "secret", "s");
	write_file(root, "file", "inside");
	return root;
}

static void test_regular(void **state)
{
	_cleanup_close_ int root = make_root(*state), fd = -1;
	struct stat st, st2;
	char text[8] = "";

	fd = open_in_root(root, 0, "/file", &st);
	assert_true(fd >= 0);
	assert_int_equal(st.st_size, 6);
	assert_int_equal(read(fd, text, sizeof(text)), 6);
	assert_string_equal(text, "inside");
	assert_int_equal(fstat(fd, &st2), 0);
	assert_int_equal(st.st_ino, st2.st_ino);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(open_in_root(root, 0, "/none", &st), -ENOENT);
}

static void test_traps(void **state)
{
	_cleanup_close_ int root = make_root(*state);
	struct stat st, before;

	memset(&st, 0x5a, sizeof(st));
	before = st;
	assert_int_equal(mkfifoat(root, "pipe", 0600), 0);
	assert_int_equal(open_in_root(root, 0, "/pipe", &st), -EINVAL);
	assert_int_equal(open_in_root(root, 0, "/", &st), -EINVAL);
	assert_int_equal(open_in_root(-1, 0, "/dev/null", &st), -EINVAL);
	assert_int_equal(open_in_root(-1, 0, "/dev", &st), -EINVAL);
	assert_int_equal(open_in_root(-1, 0, "/dev/tty", &st), -EINVAL);
	/* a magic link leads out of any root */
	assert_int_equal(open_in_root(-1, 0, "/proc/self/exe", &st), -ELOOP);
	assert_memory_equal(&st, &before, sizeof(st));
}

static void test_links(void **state)
{
	const struct fixture *f = *state;
	_cleanup_close_ int root = make_root(f), fd = -1;
	char outside[64];
	struct stat st;

	(void)snprintf(outside, sizeof(outside), "%s/secret", f->dir);
	assert_int_equal(symlinkat(outside, root, "out"), 0);
	assert_int_equal(symlinkat("../../../../../../secret", root, "up"), 0);
	assert_int_equal(symlinkat("/file", root, "link"), 0);
	assert_int_equal(open_in_root(root, 0, "/out", &st), -ENOENT);
	assert_int_equal(open_in_root(root, 0, "/up", &st), -ENOENT);
	assert_int_equal(open_in_root(root, 0, "/../secret", &st), -ENOENT);
	/* an absolute link is one inside of the root */
	fd = open_in_root(root, 0, "/link", &st);
	assert_true(fd >= 0);
	assert_int_equal(st.st_size, 6);
	/* and ".." at its top stays there */
	(void)close(TAKE_FD(fd));
	write_file(root, "secret", "other");
	fd = open_in_root(root, 0, "/up", &st);
	assert_true(fd >= 0);
	assert_int_equal(st.st_size, 5);
}

static void test_identity(void **state)
{
	const struct fixture *f = *state;
	_cleanup_close_ int root = make_root(f), fd = -1;
	struct mapped_at where = { .rootfd = root };
	struct file_identity id = { 0 };
	struct stat st, got;

	assert_int_equal(fstatat(root, "file", &st, 0), 0);
	/* nothing is known of the file: any could be it */
	assert_int_equal(open_mapped(f->symd, "/file", &id, &where, &got), -ESTALE);
	id.major = major(st.st_dev);
	id.minor = minor(st.st_dev);
	id.ino = st.st_ino;
	fd = open_mapped(f->symd, "/file", &id, &where, &got);
	assert_true(fd >= 0);
	assert_int_equal(got.st_ino, st.st_ino);
	(void)close(TAKE_FD(fd));
	fd = open_mapped(f->symd, "/file (deleted)", &id, &where, &got);
	assert_true(fd >= 0);
	id.ino++;
	assert_int_equal(open_mapped(f->symd, "/file", &id, &where, &got), -ESTALE);
	id.ino--;
	id.minor++; /* overlayfs: another device, the same inode */
	(void)close(TAKE_FD(fd));
	fd = open_mapped(f->symd, "/file", &id, &where, &got);
	assert_true(fd >= 0);
	/* no ELF file, so no build-id that could be right */
	id.build_id_len = 20;
	assert_int_equal(open_mapped(f->symd, "/file", &id, &where, &got), -ESTALE);
	assert_int_equal(open_mapped(f->symd, "/memfd:x", &id, &where, &got), -ENOENT);
	assert_int_equal(open_mapped(f->symd, "//anon", &id, &where, &got), -ENOENT);
	assert_int_equal(open_mapped(f->symd, "relative", &id, &where, &got), -ENOENT);
}

struct own {
	struct maps_line line;
	uint64_t address;
};

static int find_own(void *ctx, const struct maps_line *l)
{
	struct own *own = ctx;

	if (l->start <= own->address && own->address < l->end)
		own->line = *l;
	return 0;
}

/* Our own program: through map_files where that is allowed, else by its path. */
static void test_own_code(void **state)
{
	const struct fixture *f = *state;
	struct own own = { .address = (uint64_t)(uintptr_t)find_own };
	_cleanup_free_ struct object_info *info = malloc(sizeof(*info));
	_cleanup_close_ int root = open_root(getpid()), fd = -1;
	struct file_identity id;
	struct mapped_at where;
	struct stat st;

	assert_non_null(info);
	assert_true(root >= 0);
	assert_int_equal(maps_read(getpid(), find_own, &own), 0);
	where = (struct mapped_at){
		.pid = getpid(), .start = own.line.start, .end = own.line.end, .rootfd = root
	};
	fd = open_mapped(f->symd, own.line.path, &own.line.id, &where, &st);
	assert_true(fd >= 0);
	assert_int_equal(symd_info(f->symd, fd, info), 0);
	if (!info->build_id_len)
		return;
	(void)close(TAKE_FD(fd));
	id = (struct file_identity){ .build_id_len = info->build_id_len };
	memcpy(id.build_id, info->build_id, info->build_id_len);
	fd = open_mapped(f->symd, own.line.path, &id, &where, &st);
	assert_true(fd >= 0);
	id.build_id[0] ^= 1;
	assert_int_equal(open_mapped(f->symd, own.line.path, &id, &where, &st), -ESTALE);
}

static void *map_page(int fd)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static bool map_files_denied(const struct mapped_at *where)
{
	_cleanup_close_ int fd = -1;
	char path[80];

	(void)snprintf(path, sizeof(path), "/proc/self/map_files/%llx-%llx",
		       (unsigned long long)where->start, (unsigned long long)where->end);
	fd = open(path, O_PATH | O_CLOEXEC);
	return fd < 0 && (errno == EPERM || errno == EACCES);
}

/* A deleted file and a memfd have no path that leads to them; map_files does. */
static void test_without_path(void **state)
{
	const struct fixture *f = *state;
	_cleanup_close_ int root = make_root(f), file = openat(root, "file", O_RDONLY);
	_cleanup_close_ int memory = memfd_create("x", 0), fd = -1;
	struct mapped_at where = { .pid = getpid(), .rootfd = root };
	struct file_identity id = { 0 };
	struct stat st, want;
	void *p;

	assert_int_equal(unlinkat(root, "file", 0), 0);
	p = map_page(file);
	where.start = (uint64_t)(uintptr_t)p;
	where.end = where.start + 4096;
	assert_int_equal(fstat(file, &want), 0);
	id.ino = want.st_ino;
	if (map_files_denied(&where)) {
		(void)munmap(p, 4096);
		print_message("map_files is not allowed here\n");
		skip();
	}
	fd = open_mapped(f->symd, "/file (deleted)", &id, &where, &st);
	(void)munmap(p, 4096);
	assert_true(fd >= 0);
	assert_int_equal(st.st_ino, want.st_ino);
	(void)close(TAKE_FD(fd));

	p = map_page(memory);
	where.start = (uint64_t)(uintptr_t)p;
	where.end = where.start + 4096;
	assert_int_equal(fstat(memory, &want), 0);
	id.ino = want.st_ino;
	fd = open_mapped(f->symd, "/memfd:x (deleted)", &id, &where, &st);
	(void)munmap(p, 4096);
	assert_true(fd >= 0);
	assert_int_equal(st.st_ino, want.st_ino);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_regular, setup, teardown),
		cmocka_unit_test_setup_teardown(test_traps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_code, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_path, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
