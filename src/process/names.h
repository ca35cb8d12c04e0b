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

/* Why kernel names are missing (addresses zeroed: CAP_SYSLOG, kptr_restrict), or NULL. */
const char *names_kernel_problem(const struct names *n);
size_t names_bytes(const struct names *n); /* memory held by symbol tables */

#endif
