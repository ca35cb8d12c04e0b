/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Escaping of names in folded stacks. What a name may hold is up to the profiled process, so
 * before it is printed: ';' becomes ':'; control characters (C0, DEL, C1, and those that turn the
 * direction of text) and bytes of invalid UTF-8 become '?'; tabs, line ends, wide blanks and runs
 * of blanks become one blank and those at the ends are dropped; a name that ends in a blank and
 * a number (which FlameGraph's scripts read as a second column) gets '_' for that blank; an empty
 * name becomes "[unknown]"; names are cut at ESCAPE_NAME_MAX bytes on a character's border.
 */
#ifndef FOLDD_ESCAPE_H
#define FOLDD_ESCAPE_H

#include "base/buf.h"

#define ESCAPE_NAME_MAX 1024

int escape_name(struct buf *out, const char *name, size_t len);
/* Only makes the text valid UTF-8: '?' for each byte that is not. For JSON, without a limit. */
int escape_utf8(struct buf *out, const char *text, size_t len);

#endif
