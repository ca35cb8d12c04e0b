/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names for frames, once per distinct frame, at the end of a window. A name that cannot be
 * verified is not given: "[libfoo.so+0x1234]" is a good answer, a wrong name is a bug.
 */
#ifndef FOLDD_NAMES_H
#define FOLDD_NAMES_H

#include "base/buf.h"
#include "processes.h"

struct names;

int names_new(const struct objects *objects, struct processes *processes,
	      struct names **ret) __must_check; /* borrows both */
struct names *names_free(struct names *n);
DEFINE_CLEANUP(struct names *, names_free)

/*
 * Each appends the raw, unescaped name to out and returns true where it is a symbol's name, false
 * where it is "[file+0xoffset]", "[jit]", "[kernel]" or the like. `offset` is the exact
 * instruction to look up: the caller has already taken one from return addresses.
 */
bool names_object(struct names *n, uint32_t object, uint64_t offset, struct buf *out);
bool names_jit(struct names *n, uint32_t process_serial, uint64_t address, struct buf *out);
bool names_kernel(struct names *n, uint64_t address, struct buf *out);

/* Look for inlined functions, too, which takes time and memory. -ENOMEM. */
int names_want_inlines(struct names *n) __must_check;
bool names_has_inlines(const struct names *n);
/*
 * Append the names of the functions inlined at the place of a user frame, each with its NUL, the
 * innermost first; the function that names_object() gives holds them all. Returns how many, at
 * most INLINES_DEPTH_MAX; 0 also where they are not wanted or nothing is known. Files are opened
 * as they are asked for: a caller with many places goes by object.
 */
size_t names_inlines(struct names *n, uint32_t object, uint64_t offset, struct buf *out);

/* Why kernel names are missing (addresses zeroed: CAP_SYSLOG, kptr_restrict), or NULL. */
const char *names_kernel_problem(const struct names *n);
size_t names_bytes(const struct names *n); /* memory held by symbol tables */

#endif
