/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Escaping of names in folded stacks. What a name may hold is up to the profiled process, so
 * before it is printed: ';' becomes ':'; control bytes (C0, DEL and C1) and bytes of invalid
 * UTF-8 become '?'; tabs, line ends and runs of blanks become one blank and those at the ends
 * are dropped; a name that ends in a blank and digits (which FlameGraph's scripts read as a
 * second column) gets '_' for that blank; an empty name becomes "[unknown]"; names are cut at
 * ESCAPE_NAME_MAX bytes on a character's border.
 */
#ifndef FOLDD_ESCAPE_H
#define FOLDD_ESCAPE_H

#include "base/buf.h"

#define ESCAPE_NAME_MAX 1024

int escape_name(struct buf *out, const char *name, size_t len);

#endif
