/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's vdso image: every 64-bit process maps the same one, so ours will do. */
#ifndef FOLDD_VDSO_H
#define FOLDD_VDSO_H

#include "base/cleanup.h"

#define VDSO_SIZE_MAX 65536

/* The descriptor of a copy in memory, the caller's to close. -ENOENT where there is none. */
int vdso_open(void) __must_check;

#endif
