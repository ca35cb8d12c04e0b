/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A growing byte buffer with a limit stated at its start: whoever fills it from something that
 * a profiled process controls cannot make it grow past that.
 *
 * Invariants: data is never NULL and always NUL-terminated at data[len]; len < limit.
 */
#ifndef FOLDD_BUF_H
#define FOLDD_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include "cleanup.h"

struct buf {
	char *data;
	size_t len;
	size_t allocated;
	size_t limit; /* bytes, with the NUL */
	int error;    /* first failure (-ENOMEM, -EMSGSIZE); later additions do nothing */
};

void buf_init(struct buf *b, size_t limit);
void buf_release(struct buf *b);
void buf_clear(struct buf *b); /* empty again, error forgotten, memory kept */
void buf_truncate(struct buf *b, size_t len);

/* Each returns 0 or the buffer's error; nothing is added partly. */
int buf_add(struct buf *b, const void *data, size_t len);
int buf_adds(struct buf *b, const char *s);
int buf_addc(struct buf *b, char c);
int buf_printf(struct buf *b, const char *fmt, ...) __printf(2, 3);

/* Reserve len bytes at the end and return them (uninitialised), or NULL with the error set. */
void *buf_extend(struct buf *b, size_t len);

static inline void cleanup_buf_release(struct buf *b)
{
	buf_release(b);
}
#define _cleanup_buf_ _cleanup_(buf_release)

#endif
