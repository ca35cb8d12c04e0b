/* SPDX-License-Identifier: BSD-2-Clause */
/* Files that foldd will not open or read, since it could come to harm by them: counted, named. */
#ifndef FOLDD_REFUSED_H
#define FOLDD_REFUSED_H

#include <stddef.h>
#include <stdint.h>

#define REFUSED_FILES_MAX 64  /* that are named; all are counted */
#define REFUSED_PATH_MAX  256 /* bytes kept of their paths */

struct refused_file {
	char path[REFUSED_PATH_MAX];
	const char *why;
};

struct refused {
	struct refused_file files[REFUSED_FILES_MAX];
	size_t n;
	uint64_t count;
};

/* An error of opening or reading that speaks of the file, as a text; NULL for all others. */
const char *refused_why(int err);
/* Counts and names it where the error speaks of the file. One that is named counts once. */
void refused_add(struct refused *r, const char *path, int err);

#endif
