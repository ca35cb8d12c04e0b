/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which functions have been inlined into the code at an address, by the DWARF of a file or of its
 * separate debug file.
 *
 * DANGER: this is libdw, which is not made for hostile files: it may crash, loop or take memory
 * without bound. Unlike all else in this room it must only ever be called in the sandboxed worker,
 * which is thrown away when that happens.
 */
#ifndef FOLDD_OBJECT_INLINES_H
#define FOLDD_OBJECT_INLINES_H

#include <stdbool.h>
#include <stdint.h>
#include "base/cleanup.h"

#define INLINES_DEPTH_MAX 64 /* functions at one address; the outermost of more are left out */

/* False where this was built without libdw: all below fails with -ENOTSUP. */
bool inlines_supported(void);

struct inlines;

/*
 * The debug information of an open file of this size, which is mapped. -ENODATA: it has none;
 * -ENOEXEC, -ENOMEM. It is read as addresses are looked up, and then kept.
 */
int inlines_open(int fd, uint64_t size, struct inlines **ret) __must_check;
struct inlines *inlines_free(struct inlines *n);
DEFINE_CLEANUP(struct inlines *, inlines_free)

/* A name, demangled where it was mangled, which lives during the call. Anything but 0 ends it. */
typedef int (*inlines_fn)(void *ctx, const char *name);

/*
 * Calls back for each function inlined at vaddr, the innermost first. The function that they have
 * been inlined into is not among them: its symbol names it. Returns how many there were, what the
 * callback did, or -ENOENT where nothing is known of the address. A return address is looked up
 * less one.
 */
int inlines_at(struct inlines *n, uint64_t vaddr, inlines_fn fn, void *ctx);

/* The same for one address. */
int object_inlines(int fd, uint64_t size, uint64_t vaddr, inlines_fn fn, void *ctx);

#endif
