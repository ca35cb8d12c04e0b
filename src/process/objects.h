/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registry of mapped files: one entry per distinct file, however many processes map it from
 * whatever path. Files are opened when they are first seen, the safe way (open.h), since their
 * process may be gone when names are wanted.
 */
#ifndef FOLDD_OBJECTS_H
#define FOLDD_OBJECTS_H

#include <stdbool.h>
#include "feed.h"
#include "refused.h"
#include "symd/symd.h"

#define OBJECTS_MAX 16384 /* distinct files; further ones are OBJECT_NONE, counted */

#define OBJECT_NONE 0
#define OBJECT_VDSO 1 /* its offsets are relative to the start of the mapping */

struct object_file {
	char *path; /* as the process saw it */
	struct file_identity id;
	int fd;           /* O_RDONLY, or -1 where it could not be opened or verified; of the
			   * vdso a copy in memory */
	int error;        /* -errno of opening; 0 */
	int debug_rootfd; /* directory to look for debug files under ('/' of its namespace), or -1
			   */
	uint64_t size, mtime_ns; /* of the file when it was opened */
};

struct objects;
struct mapped_at {
	pid_t pid;           /* process that maps it; may be gone */
	uint64_t start, end; /* its mapping, for /proc/PID/map_files */
	int rootfd;          /* O_PATH of the process's root directory, or -1 for our own root */
	bool known_only;     /* the process has used up its share of the registry */
};

/* Starts the process that reads the files: errors as of symd_new(). */
int objects_new(struct objects **ret) __must_check;
struct objects *objects_free(struct objects *o);
DEFINE_CLEANUP(struct objects *, objects_free)
/*
 * Root directory of a live process, O_PATH, counted as one use; borrowed, and shared by all
 * processes with the same root. -errno where it is gone or there are too many.
 */
int objects_root_open(struct objects *o, pid_t pid) __must_check;
void objects_root_use(struct objects *o, int rootfd); /* one use more; negative is fine */
void objects_root_unuse(struct objects *o, int rootfd);
/*
 * Number of the file at path with this identity; added and opened at the first sight.
 * OBJECT_NONE when the registry is full or may not be added to (objects_refused counts), or where
 * path names no file.
 */
uint32_t objects_add(struct objects *o, const char *path, const struct file_identity *id,
		     const struct mapped_at *where);
/* A later sighting may open what could not be opened before: fd and error can change then. */
const struct object_file *objects_get(const struct objects *o, uint32_t object); /* NULL: none */
/* Who reads the files; lives as long as the registry. */
struct symd *objects_symd(const struct objects *o);
uint32_t objects_count(const struct objects *o);
/* Files of processes that were not opened or read for what they are. To add to, and to read. */
struct refused *objects_refused_files(const struct objects *o);
uint64_t objects_refused(const struct objects *o);
uint64_t objects_open_failed(const struct objects *o); /* objects that have no fd now */

#endif
