/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdbool.h>
#include <string.h>
#include "paths.h"

static bool has_prefix(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

static bool has_suffix(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && !strcmp(s + n - m, suffix);
}

enum path_class path_class(const char *path)
{
	if (!strcmp(path, "[vdso]"))
		return PATH_VDSO;
	if (path[0] != '/' || path[1] == '/')
		return PATH_NOTHING; /* [heap], //anon and the like */
	if (has_prefix(path, "/dev/zero") || has_prefix(path, "/SYSV") ||
	    has_prefix(path, "/anon_hugepage") || has_prefix(path, "/[aio]"))
		return PATH_NOTHING;
	if (has_prefix(path, "/memfd:") || has_suffix(path, " (deleted)"))
		return PATH_MEMORY;
	return PATH_FILE;
}
