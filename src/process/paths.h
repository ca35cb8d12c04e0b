/* SPDX-License-Identifier: BSD-2-Clause */
/* What the path of a mapping says of what is mapped. */
#ifndef FOLDD_PATHS_H
#define FOLDD_PATHS_H

enum path_class {
	PATH_NOTHING,
	PATH_FILE,
	PATH_MEMORY, /* a file only if it turns out to be ELF: JIT compilers map such things too */
	PATH_VDSO,
};

enum path_class path_class(const char *path);

#endif
