/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The separate file with the full symbols of a stripped one: by build-id, else by debuglink. It
 * is looked for below the root of the process, then below ours, and is taken only when its own
 * build-id, or its CRC where there is none to compare, proves that it belongs to the file.
 */
#ifndef FOLDD_DEBUGFILE_H
#define FOLDD_DEBUGFILE_H

#include "objects.h"

#define DEBUGFILE_CRC_MAX (512 << 20) /* bytes of a file that are read for its CRC */

/* A descriptor with *ret_info filled in, -ENOENT, -ENOMEM. */
int debugfile_open(struct symd *symd, const struct object_file *file,
		   const struct object_info *info, struct refused *refused,
		   struct object_info *ret_info) __must_check;

#endif
