/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "image.h"

static ssize_t read_fd(void *ctx, void *data, size_t len, uint64_t offset)
{
	if (offset > INT64_MAX - len)
		return 0;
	return file_pread((int)(intptr_t)ctx, data, len, (off_t)offset);
}

static ssize_t read_memory(void *ctx, void *data, size_t len, uint64_t offset)
{
	const struct object_memory *m = ctx;

	if (offset >= m->len)
		return 0;
	if (len > m->len - offset)
		len = m->len - offset;
	memcpy(data, (const char *)m->data + offset, len);
	return (ssize_t)len;
}

int object_source_fd(struct object_source *s, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	/* Anything else can block, or has no size to check the numbers in it against. */
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	*s = (struct object_source){
		.read = read_fd,
		.ctx = (void *)(intptr_t)fd,
		.size = (uint64_t)st.st_size,
	};
	return 0;
}

void object_source_memory(struct object_source *s, const struct object_memory *m)
{
	*s = (struct object_source){
		.read = read_memory,
		.ctx = (void *)(uintptr_t)m,
		.size = m->len,
	};
}

int source_read(const struct object_source *s, void *data, size_t len, uint64_t offset)
{
	ssize_t n;

	if (offset > s->size || len > s->size - offset)
		return -EBADMSG;
	n = s->read(s->ctx, data, len, offset);
	if (n < 0)
		return (int)n;
	/* The file can shrink under us. */
	return (size_t)n == len ? 0 : -EBADMSG;
}
