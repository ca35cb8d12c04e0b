/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include "maps.h"
#include "vdso.h"

static int find_end(void *ctx, const struct maps_line *line)
{
	struct maps_line *found = ctx;

	if (line->start == found->start)
		found->end = line->end;
	return 0;
}

int vdso_open(void)
{
	struct maps_line found = { .start = getauxval(AT_SYSINFO_EHDR) };
	_cleanup_close_ int fd = -1;
	size_t size;
	int err;

	if (!found.start)
		return -ENOENT;
	err = maps_read(getpid(), find_end, &found);
	if (err)
		return err;
	if (!found.end)
		return -ENOENT;
	size = found.end - found.start;
	if (size > VDSO_SIZE_MAX)
		return -EFBIG;
	fd = memfd_create("vdso", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, (const void *)(uintptr_t)found.start, size) != (ssize_t)size)
		return -EIO;
	return TAKE_FD(fd);
}
