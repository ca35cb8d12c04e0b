/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The common part of the text formats: the stacks of one value with their frames named and
 * escaped, once per distinct frame, and stacks that read the same merged into one line.
 */
#ifndef FOLDD_RENDER_H
#define FOLDD_RENDER_H

#include "export.h"

struct line {
	const uint32_t *names; /* root first */
	uint32_t n;
	uint64_t samples;
	double weight;  /* ns */
	uint64_t value; /* for the format: what it prints */
};

struct render;

/* Borrows nothing once it is made. -ENOMEM, or -EMSGSIZE when the names alone pass the limit. */
int render_new(const struct fold *f, enum fold_value value, struct names *names,
	       struct render **ret) __must_check;
struct render *render_free(struct render *r);
DEFINE_CLEANUP(struct render *, render_free)

/* The lines; the caller may sort them. Names are equal where their numbers are. */
struct line *render_lines(struct render *r, size_t *ret_count);
const char *render_name(const struct render *r, uint32_t name, size_t *ret_len);
struct export_names render_naming(const struct render *r);

#endif
