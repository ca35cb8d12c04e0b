/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "refused.h"

const char *refused_why(int err)
{
	switch (err) {
	case -EINVAL:
		return "no regular file";
	case -EFBIG:
		return "too large";
	case -EPERM:
		return "of another user than the process";
	case -EREMOTE:
		return "on a file system that may stall";
	case -ESTALE:
		return "not the file that is mapped";
	}
	return NULL;
}

void refused_add(struct refused *r, const char *path, int err)
{
	const char *why = refused_why(err);
	struct refused_file f = { .why = why };

	if (!why)
		return;
	(void)snprintf(f.path, sizeof(f.path), "%s", path);
	for (size_t i = 0; i < r->n; i++)
		if (r->files[i].why == why && !strcmp(r->files[i].path, f.path))
			return;
	r->count++;
	if (r->n < REFUSED_FILES_MAX)
		r->files[r->n++] = f;
}
