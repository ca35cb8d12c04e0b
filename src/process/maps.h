/* SPDX-License-Identifier: BSD-2-Clause */
/* /proc/PID/maps: one line, and all executable mappings of a process. */
#ifndef FOLDD_MAPS_H
#define FOLDD_MAPS_H

#include "feed.h"

#define MAPS_BYTES_MAX (64 << 20) /* of one maps file; 65,530 mappings of ordinary paths fit */

struct maps_line {
	uint64_t start, end, pgoff;
	uint32_t prot;            /* PROT_* */
	struct file_identity id;  /* device and inode */
	char path[FEED_PATH_MAX]; /* newlines unescaped; empty for anonymous memory */
};

/* Pure. line is without its newline. 0, or -EBADMSG. */
int maps_parse(const char *line, size_t len, struct maps_line *ret) __must_check;

/*
 * Call fn for each executable mapping. Where the main thread has exited, another thread tells.
 * 0, the first non-zero result of fn, -ESRCH when the process is gone, -EACCES, -EFBIG.
 */
int maps_read(pid_t pid, int (*fn)(void *ctx, const struct maps_line *line),
	      void *ctx) __must_check;

#endif
