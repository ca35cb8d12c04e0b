/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mapping feed: one dummy software perf event per CPU whose ring carries mmap2 (executable
 * mappings, with the kernel-read build-id from Linux 5.12 on), comm, fork and exit records of
 * the whole system, in CLOCK_MONOTONIC.
 */
#ifndef FOLDD_FEED_H
#define FOLDD_FEED_H

#include <limits.h>
#include "object/object.h"

#define FEED_PATH_MAX 4096

enum feed_type { FEED_MMAP, FEED_COMM, FEED_EXEC, FEED_FORK, FEED_EXIT, FEED_LOST };

/* What identifies a mapped file: the build-id where the kernel read one, else device and inode. */
struct file_identity {
	uint8_t build_id[OBJECT_BUILD_ID_MAX];
	uint8_t build_id_len;
	uint32_t major, minor; /* 0, 0 together with ino 0: unknown */
	uint64_t ino;
};

struct feed_event {
	enum feed_type type;
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	pid_t pid, tid;
	pid_t parent;        /* FORK: process of the parent; a new thread has parent == pid */
	uint64_t start, end; /* MMAP */
	uint64_t pgoff;      /* MMAP: bytes */
	uint32_t prot;       /* MMAP */
	struct file_identity id;
	uint64_t lost;    /* LOST: records */
	const char *text; /* MMAP: path; COMM, EXEC: name. Lives until the next drain. */
};

struct feed;

/* -EACCES/-EPERM without privilege, -ENOENT/-EOPNOTSUPP without perf events. */
int feed_open(struct feed **ret) __must_check;
struct feed *feed_free(struct feed *f);
DEFINE_CLEANUP(struct feed *, feed_free)
bool feed_has_build_ids(const struct feed *f);
/*
 * Take all records that are in the rings now, sorted by time. *ret_events lives until the next
 * drain. Every record made before the call is in it.
 */
int feed_drain(struct feed *f, const struct feed_event **ret_events,
	       size_t *ret_count) __must_check;

/* Parse one raw perf record (header included) into *ret; pure, for tests. 1: an event, 0: none
 * of ours, -EBADMSG: damaged. ret->text points into the record. */
int feed_parse(const void *record, size_t len, struct feed_event *ret) __must_check;

#endif
