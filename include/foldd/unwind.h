/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What a user-stack walk needs to know of a process, and how a walk ends. User space writes the
 * pool of mappings through mmap and publishes a process by one update of the "procs" hash.
 */
#ifndef FOLDD_UNWIND_H
#define FOLDD_UNWIND_H

#include <linux/types.h>
#include "rule.h"

/*
 * A user frame as it leaves the kernel. With bit 63 set it is (object, file offset): bits 62..40
 * the object's id, bits 39..0 the offset in the file (files are refused past 1 TiB). With bit 63
 * clear it is a raw address, either because the process was not in the table or because the
 * mapping has no file (JIT code).
 */
#define FOLDD_FRAME_OBJECT     (1ULL << 63)
#define FOLDD_FRAME_ID_SHIFT   40
#define FOLDD_FRAME_ID_MAX     ((1U << 23) - 1)
#define FOLDD_FRAME_OFFSET_MAX ((1ULL << 40) - 1)

#define FOLDD_MAX_USER_FRAMES   256
#define FOLDD_MAX_KERNEL_FRAMES 64

#define FOLDD_POOL_MAPPINGS 65536 /* 2 MiB of 32-byte mappings, for all processes together */
#define FOLDD_MAX_PROCESSES 16384 /* entries of the "procs" hash */
#define FOLDD_PROC_MAPPINGS 4096  /* executable mappings of one process; 12 search steps */

/* One executable mapping; a process has a sorted run of them in the pool. */
struct foldd_mapping {
	__u64 start;  /* first address */
	__u64 end;    /* first address after it */
	__u64 bias;   /* file offset = address - bias */
	__u32 object; /* 0: no file, frames stay raw */
	__u32 flags;
};

/* One value, so that a search step on the kernel side is one load. */
struct foldd_pool {
	struct foldd_mapping mappings[FOLDD_POOL_MAPPINGS];
};

/*
 * Unwind tables, as field note unwinding-and-symbols (5) measured them: rows of 4 bytes,
 * pc_low << 16 | rule, sorted within pages of 64 KiB of the file's code; a page's first row has
 * pc_low 0. The tables of a file are written once and used by every process that maps it.
 */
#define FOLDD_CHUNK_ROWS  262144 /* 1 MiB; a page's rows lie in one chunk */
#define FOLDD_MAX_CHUNKS  128    /* 33.5 million rows */
#define FOLDD_MAX_PAGES   65536  /* 4 GiB of code */
#define FOLDD_MAX_RULES   32768  /* a whole Debian disk has 4,509 distinct ones */
#define FOLDD_MAX_OBJECTS 16384

struct foldd_chunk {
	__u32 rows[FOLDD_CHUNK_ROWS];
};

struct foldd_page {
	__u32 row;  /* chunk << 18 | index */
	__u16 n;    /* rows; 0: no CFI here */
	__u16 step; /* largest power of two below n (1 for n = 1): where the search starts */
};

/* By number of the object. n is written last: until then there is no table. */
struct foldd_object {
	__u32 first_page; /* index into the pages */
	__u32 low;        /* file offset >> 16 of that page */
	__u32 n;          /* pages */
	__u32 pad;
};

struct foldd_tables {
	struct cfi_rule rules[FOLDD_MAX_RULES];
	struct foldd_page pages[FOLDD_MAX_PAGES];
	struct foldd_object objects[FOLDD_MAX_OBJECTS];
};

/* What a mapping's file is to the kernel: its inode. Map "inodes", for files seen before. */
struct foldd_inode {
	__u64 ino;
	__u32 dev; /* as the kernel has it: major << 20 | minor */
	__u32 pad;
};

struct foldd_proc {
	__u32 first;    /* index into the pool */
	__u32 count;    /* of mappings, at most FOLDD_PROC_MAPPINGS */
	__u64 as_of_ns; /* CLOCK_MONOTONIC: every mapping made before this moment is in the table */
};

/* How a walk over a user stack ended. X(IDENTIFIER, number, "key", "marker frame or NULL") */
#define FOLDD_WALK_ENDS(X)                                                                         \
	X(ROOT, 0, "root", 0)                                                                      \
	X(NO_USER, 1, "no_user", 0) /* a kernel thread: there is no user stack */                  \
	X(BAD_FRAME, 2, "bad_frame_pointer", "[stack cut: no frame pointer]")                      \
	X(NO_MAPPING, 3, "no_mapping", "[stack cut: not in code]")                                 \
	X(UNREADABLE, 4, "unreadable", "[stack cut: memory not readable]")                         \
	X(TOO_DEEP, 5, "too_deep", "[stack cut: too deep]")                                        \
	X(RATE, 6, "rate", "[stack not taken: rate limit]")                                        \
	X(EXITED, 7, "exited", "[stack not taken: thread exited]")                                 \
	X(COMPAT, 8, "compat", "[stack not taken: 32-bit code]")                                   \
	X(BLOCKED, 9, "blocked", "[stack not taken: thread still blocked]")                        \
	X(UNSUPPORTED, 10, "unsupported", "[stack cut: unwind rule not supported]")                \
	X(NO_PROGRESS, 11, "no_progress", "[stack cut: stack pointer does not advance]")           \
	X(MISSED, 12, "missed", "[stack not taken: switch not reported]")

#define FOLDD_WALK_END_MAX 16

/* In a record's walk_end beside the number: at least one step went by the frame pointer. */
#define FOLDD_WALK_BY_FRAME_POINTER 0x80

enum foldd_walk_end {
#define X(id, n, key, frame) FOLDD_WALK_##id = n,
	FOLDD_WALK_ENDS(X)
#undef X
};

#endif
