/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include "buf.h"

static char empty[1]; /* so that data is never NULL before the first allocation */

void buf_init(struct buf *b, size_t limit)
{
	*b = (struct buf){ .data = empty, .limit = limit };
}

void buf_release(struct buf *b)
{
	if (b->allocated)
		free(b->data);
	buf_init(b, b->limit);
}

void buf_clear(struct buf *b)
{
	b->error = 0;
	buf_truncate(b, 0);
}

void buf_truncate(struct buf *b, size_t len)
{
	if (len >= b->len && len)
		return;
	b->len = len;
	if (b->allocated)
		b->data[len] = '\0';
}

void *buf_extend(struct buf *b, size_t len)
{
	size_t need, size;
	char *data;

	if (b->error)
		return NULL;
	if (len >= b->limit || b->len >= b->limit - len) {
		b->error = -EMSGSIZE;
		return NULL;
	}
	need = b->len + len + 1;
	if (need > b->allocated) {
		size = b->allocated ? b->allocated : 64;
		while (size < need)
			size *= 2;
		if (size > b->limit)
			size = b->limit;
		data = b->allocated ? realloc(b->data, size) : malloc(size);
		if (!data) {
			b->error = -ENOMEM;
			return NULL;
		}
		b->data = data;
		b->allocated = size;
	}
	data = b->data + b->len;
	b->len += len;
	b->data[b->len] = '\0';
	return data;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
	void *p = buf_extend(b, len);

	if (p && len)
		memcpy(p, data, len);
	return b->error;
}

int buf_adds(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int buf_addc(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return b->error = -EINVAL;
	p = buf_extend(b, (size_t)n);
	if (!p)
		return b->error;
	va_start(ap, fmt);
	(void)vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return 0;
}
