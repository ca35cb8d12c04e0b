/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stacks and their weights. Frames are interned as what they are, (object, offset) and the like;
 * they get their names when a profile is exported, once per distinct frame.
 */
#ifndef FOLDD_FOLD_H
#define FOLDD_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"

#define FOLD_STACKS_MAX   1000000      /* distinct stacks of one recording */
#define FOLD_FRAMES_MAX   4000000      /* distinct frames */
#define FOLD_TEXTS_MAX    1000000      /* distinct names of processes and threads, markers */
#define FOLD_DEPTH_MAX    400          /* comm, thread, 256 user, 64 kernel, markers, reason */
#define FOLD_TEXT_LEN_MAX 4096         /* bytes of one text; longer ones are cut */
#define FOLD_ARENA_MAX    (512U << 20) /* bytes of stacks and texts: 128 frames for each stack */

enum frame_type {
	FRAME_TEXT = 0,    /* text: process name, thread name; escaped when printed */
	FRAME_MARKER = 1,  /* text: ours, already in square brackets */
	FRAME_USER = 2,    /* id: object, where: offset in its file */
	FRAME_JIT = 3,     /* id: serial of the process, where: address */
	FRAME_KERNEL = 4,  /* where: address */
	FRAME_REASON = 5,  /* id: enum foldd_reason */
	FRAME_ADDRESS = 6, /* a user address without any mapping */
};

struct frame {
	uint32_t type; /* enum frame_type */
	uint32_t id;   /* TEXT, MARKER: number of fold_text */
	uint64_t where;
};

/* One column of weights: one folded file. */
enum fold_value { FOLD_OFFCPU = 0, FOLD_CPU = 1, FOLD_VALUE_MAX };

struct fold_weight {
	double weight;   /* in the unit of the value: ns */
	double variance; /* of the estimate: sum of w^2 (1 - p) over its samples */
	uint64_t samples;
};

struct fold;

int fold_new(struct fold **ret) __must_check;
struct fold *fold_free(struct fold *f);
DEFINE_CLEANUP(struct fold *, fold_free)

/*
 * Interning; the same contents give the same number. TABLE_NONE (UINT32_MAX) when full; fold_add
 * takes a stack with such a frame for one that finds the table full.
 */
uint32_t fold_text(struct fold *f, const char *text, size_t len);
uint32_t fold_frame(struct fold *f, const struct frame *frame);
/*
 * Add weight to the stack (root first, at most FOLD_DEPTH_MAX). -ENOSPC when the quota of
 * stacks is reached: the weight then goes to the stack "[stacks table full]", so that sums stay.
 * -EINVAL, and nothing is added, for no frames or too many.
 */
int fold_add(struct fold *f, enum fold_value value, const uint32_t *frames, size_t n,
	     const struct fold_weight *w);

/* Sums over all stacks of a value. */
struct fold_weight fold_total(const struct fold *f, enum fold_value value);
size_t fold_stacks(const struct fold *f); /* distinct ones, over all values */
/* Visit each stack with a weight in this value, in no particular order. */
void fold_each(const struct fold *f, enum fold_value value,
	       void (*fn)(void *ctx, const uint32_t *frames, size_t n, const struct fold_weight *w),
	       void *ctx);
const struct frame *fold_get(const struct fold *f, uint32_t frame);
uint32_t fold_frames(const struct fold *f); /* frames are numbered 0 .. this - 1 */
const char *fold_get_text(const struct fold *f, uint32_t text, size_t *ret_len);

#endif
