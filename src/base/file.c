/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "file.h"

#define FILE_SET_MAX  64 /* files of one recording; a kind has at most a handful */
#define FILE_NAME_LEN 128

struct file_set {
	int dirfd;
	size_t count;
	struct {
		char name[FILE_NAME_LEN];
		char temporary[FILE_NAME_LEN];
	} files[FILE_SET_MAX];
};

int file_read_at(int dirfd, const char *path, struct buf *b)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -errno;
	for (;;) {
		char chunk[16384];
		ssize_t n = read(fd, chunk, sizeof(chunk));
		int err;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return 0;
		err = buf_add(b, chunk, (size_t)n);
		if (err)
			return err;
	}
}

int file_read(const char *path, struct buf *b)
{
	return file_read_at(AT_FDCWD, path, b);
}

ssize_t file_pread(int fd, void *data, size_t len, off_t offset)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)data + done, len - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int file_set_new(int dirfd, struct file_set **ret)
{
	struct file_set *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->dirfd = dirfd;
	*ret = s;
	return 0;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_set_add(struct file_set *s, const char *name, const void *data, size_t len)
{
	_cleanup_close_ int fd = -1;
	size_t i = s->count;
	int n, err;

	if (i == FILE_SET_MAX)
		return -ENOSPC;
	n = snprintf(s->files[i].temporary, FILE_NAME_LEN, ".%s.%d.tmp", name, (int)getpid());
	if (n < 0 || n >= FILE_NAME_LEN)
		return -ENAMETOOLONG;
	(void)snprintf(s->files[i].name, FILE_NAME_LEN, "%s", name);
	/* A leftover of a killed run with our pid is ours to replace; O_EXCL refuses links. */
	(void)unlinkat(s->dirfd, s->files[i].temporary, 0);
	fd = openat(s->dirfd, s->files[i].temporary,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	s->count++;
	err = write_all(fd, data, len);
	if (err)
		return err;
	return fsync(fd) ? -errno : 0;
}

int file_set_commit(struct file_set *s)
{
	while (s->count) {
		size_t i = s->count - 1;

		if (renameat(s->dirfd, s->files[i].temporary, s->dirfd, s->files[i].name))
			return -errno;
		s->count--;
	}
	/* Some file systems refuse fsync on a directory; the files themselves are synced. */
	if (fsync(s->dirfd) && errno != EINVAL)
		return -errno;
	return 0;
}

struct file_set *file_set_free(struct file_set *s)
{
	if (!s)
		return NULL;
	while (s->count)
		(void)unlinkat(s->dirfd, s->files[--s->count].temporary, 0);
	free(s);
	return NULL;
}
