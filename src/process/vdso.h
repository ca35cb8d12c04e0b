/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's vdso image: every 64-bit process maps the same one, so ours will do. */
#ifndef FOLDD_VDSO_H
#define FOLDD_VDSO_H

#include <stddef.h>
#include "base/cleanup.h"

#define VDSO_SIZE_MAX 65536

/* A malloc'd copy. -ENOENT where there is none. */
int vdso_read(void **ret_image, size_t *ret_size) __must_check;

#endif
