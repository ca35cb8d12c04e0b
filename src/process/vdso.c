/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include "maps.h"
#include "vdso.h"

static int find_end(void *ctx, const struct maps_line *line)
{
	struct maps_line *found = ctx;

	if (line->start == found->start)
		found->end = line->end;
	return 0;
}

int vdso_read(void **ret_image, size_t *ret_size)
{
	struct maps_line found = { .start = getauxval(AT_SYSINFO_EHDR) };
	size_t size;
	void *p;
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
	p = malloc(size);
	if (!p)
		return -ENOMEM;
	memcpy(p, (const void *)(uintptr_t)found.start, size);
	*ret_image = p;
	*ret_size = size;
	return 0;
}
