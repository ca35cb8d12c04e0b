/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inlined functions at addresses of files, by the DWARF of the file itself or of its separate
 * debug file. What was found is kept, since every profile of a recording asks again; but of files
 * only one is open, so a caller with many addresses asks for them file by file.
 */
#ifndef FOLDD_INLINED_H
#define FOLDD_INLINED_H

#include "base/buf.h"
#include "objects.h"

struct inlined;

int inlined_new(const struct objects *objects, struct inlined **ret) __must_check; /* borrows */
struct inlined *inlined_free(struct inlined *l);
DEFINE_CLEANUP(struct inlined *, inlined_free)

/* What is kept of an address, appended as by inlined_find(). -ENOENT: it was not asked for yet. */
int inlined_kept(const struct inlined *l, uint32_t object, uint64_t vaddr, struct buf *out);

/*
 * True where the last one that was opened was this object, even without a file. Else its file is
 * given to inlined_open(), or a negative number where there is none.
 */
bool inlined_is_open(const struct inlined *l, uint32_t object);
void inlined_open(struct inlined *l, uint32_t object, int fd); /* takes fd */

/*
 * Append the names of the functions inlined at vaddr of the object that is open, each with its
 * NUL, the innermost first. Returns how many; 0 where nothing is known.
 */
size_t inlined_find(struct inlined *l, const struct object_info *info, uint64_t vaddr,
		    struct buf *out);

size_t inlined_bytes(const struct inlined *l); /* memory held */

#endif
