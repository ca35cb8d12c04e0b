/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include "mounts.h"
#include "open.h"

#define OPEN_RACES_MAX 8 /* openat2 answers EAGAIN while somebody renames what it walks over */

/* By what the kernel knows of the file without asking its server, which may not answer. */
static int check_file(int path_fd, pid_t pid)
{
	struct statx st;

	if (statx(path_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st))
		return -errno;
	if (!S_ISREG(st.stx_mode))
		return -EINVAL;
	return mounts_device_may_stall(pid, st.stx_dev_major, st.stx_dev_minor) ? -EREMOTE : 0;
}

/* The descriptor itself names the file from here on: nobody can put another one in its place. */
static int reopen_regular(int path_fd, pid_t pid, struct stat *ret_st)
{
	char self[32];
	struct stat st;
	int fd, err;

	err = check_file(path_fd, pid);
	if (err)
		return err;
	if (fstat(path_fd, &st))
		return -errno;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", path_fd);
	fd = open(self, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_st = st;
	return fd;
}

static int openat_in_root(int rootfd, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;

	errno = EAGAIN;
	for (int i = 0; i < OPEN_RACES_MAX && fd < 0 && errno == EAGAIN; i++)
		fd = syscall(SYS_openat2, rootfd, path, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

int open_in_root(int rootfd, pid_t pid, const char *path, struct stat *ret_st)
{
	_cleanup_close_ int own_root = -1, path_fd = -1;

	if (rootfd < 0) {
		own_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (own_root < 0)
			return -errno;
		rootfd = own_root;
	}
	path_fd = openat_in_root(rootfd, path);
	if (path_fd < 0)
		return path_fd;
	return reopen_regular(path_fd, pid, ret_st);
}

int open_root(pid_t pid)
{
	char path[32];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int verify_build_id(struct symd *symd, int fd, const struct file_identity *id)
{
	_cleanup_free_ struct object_info *info = malloc(sizeof(*info));
	int err;

	if (!info)
		return -ENOMEM;
	err = symd_info(symd, fd, info);
	if (err == -ENOEXEC || err == -EBADMSG)
		return -ESTALE;
	if (err)
		return err;
	if (info->build_id_len != id->build_id_len ||
	    memcmp(info->build_id, id->build_id, id->build_id_len) != 0)
		return -ESTALE;
	return 0;
}

/*
 * overlayfs and btrfs report another device to stat than to /proc/PID/maps, and overlayfs may
 * report another inode as well. What map_files leads to is the mapped file all the same, unless
 * the same range was mapped again, which shows where the devices do agree.
 */
static int verify(struct symd *symd, int fd, const struct stat *st, const struct file_identity *id,
		  bool by_mapping)
{
	bool same_dev = major(st->st_dev) == id->major && minor(st->st_dev) == id->minor;

	if (id->build_id_len)
		return verify_build_id(symd, fd, id);
	if (!id->ino)
		return by_mapping ? 0 : -ESTALE;
	if (st->st_ino != id->ino && (same_dev || !by_mapping))
		return -ESTALE;
	return 0;
}

static int open_map_file(const struct mapped_at *where, struct stat *ret_st)
{
	_cleanup_close_ int path_fd = -1;
	char path[80];

	if (where->pid <= 0 || where->start >= where->end)
		return -ENOENT;
	(void)snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", (int)where->pid,
		       (unsigned long long)where->start, (unsigned long long)where->end);
	path_fd = open(path, O_PATH | O_CLOEXEC);
	if (path_fd < 0)
		return -errno;
	return reopen_regular(path_fd, where->pid, ret_st);
}

static int open_by_path(const char *path, const struct mapped_at *where, struct stat *ret_st)
{
	static const char deleted[] = " (deleted)";
	const size_t suffix = sizeof(deleted) - 1;
	char plain[FEED_PATH_MAX];
	size_t len = strlen(path);

	if (path[0] != '/' || path[1] == '/' || !strncmp(path, "/memfd:", 7))
		return -ENOENT;
	if (len >= sizeof(plain))
		return -ENAMETOOLONG;
	memcpy(plain, path, len + 1);
	if (len > suffix && !strcmp(plain + len - suffix, deleted))
		plain[len - suffix] = '\0';
	return open_in_root(where->rootfd, where->pid, plain, ret_st);
}

int open_mapped(struct symd *symd, const char *path, const struct file_identity *id,
		const struct mapped_at *where, struct stat *ret_st)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int err;

	if (id->ino && mounts_device_may_stall(where->pid, id->major, id->minor))
		return -EREMOTE;
	fd = open_map_file(where, &st);
	if (fd == -EINVAL || fd == -EREMOTE)
		return fd;
	err = fd < 0 ? fd : verify(symd, fd, &st, id, true);
	if (err) {
		if (fd >= 0)
			(void)close(TAKE_FD(fd));
		fd = open_by_path(path, where, &st);
		/* whatever is mapped, it is not what has taken the place of its file */
		if (fd == -EINVAL)
			fd = -ESTALE;
		err = fd < 0 ? fd : verify(symd, fd, &st, id, false);
	}
	if (err)
		return err;
	*ret_st = st;
	return TAKE_FD(fd);
}
