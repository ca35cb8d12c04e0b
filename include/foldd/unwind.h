/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What a user-stack walk needs to know of a process, and how a walk ends. User space writes the
 * pool of mappings through mmap and publishes a process by one update of the "procs" hash.
 */
#ifndef FOLDD_UNWIND_H
#define FOLDD_UNWIND_H

#include <linux/types.h>

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

#define FOLDD_POOL_MAPPINGS  65536 /* 2 MiB of 32-byte mappings, for all processes together */
#define FOLDD_MAX_PROCESSES  16384 /* entries of the "procs" hash */
#define FOLDD_PROC_MAPPINGS  4096  /* executable mappings of one process; 12 search steps */

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

struct foldd_proc {
	__u32 first; /* index into the pool */
	__u32 count; /* of mappings, at most FOLDD_PROC_MAPPINGS */
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
	X(BLOCKED, 9, "blocked", "[stack not taken: thread still blocked]")

#define FOLDD_WALK_END_MAX 16

enum foldd_walk_end {
#define X(id, n, key, frame) FOLDD_WALK_##id = n,
	FOLDD_WALK_ENDS(X)
#undef X
};

#endif
