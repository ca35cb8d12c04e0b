/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking numbers off a run of bytes. What does not fit is noted once and gives 0 from then on, so
 * that a parser checks once, at its end.
 */
#ifndef FOLDD_OBJECT_CFI_BYTES_H
#define FOLDD_OBJECT_CFI_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LEB_BYTES_MAX 10 /* 64 bits, 7 a byte */

struct cfi_bytes {
	const unsigned char *at, *end;
	bool bad;
};

static inline size_t bytes_left(const struct cfi_bytes *b)
{
	return (size_t)(b->end - b->at);
}

static inline uint64_t bytes_fail(struct cfi_bytes *b)
{
	b->bad = true;
	b->at = b->end;
	return 0;
}

/* 1, 2, 4 or 8 bytes. */
static inline uint64_t bytes_fixed(struct cfi_bytes *b, size_t size)
{
	uint64_t value = 0;

	if (bytes_left(b) < size)
		return bytes_fail(b);
	memcpy(&value, b->at, size);
	b->at += size;
	return value;
}

static inline int64_t bytes_signed(struct cfi_bytes *b, size_t size)
{
	unsigned int unused = 64 - 8 * (unsigned int)size;

	return (int64_t)(bytes_fixed(b, size) << unused) >> unused;
}

static inline uint8_t bytes_u8(struct cfi_bytes *b)
{
	return (uint8_t)bytes_fixed(b, 1);
}

static inline void bytes_skip(struct cfi_bytes *b, uint64_t n)
{
	if (bytes_left(b) < n)
		bytes_fail(b);
	else
		b->at += n;
}

static inline uint64_t bytes_uleb(struct cfi_bytes *b)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < LEB_BYTES_MAX && b->at < b->end; i++) {
		unsigned char byte = *b->at++;

		if (i == LEB_BYTES_MAX - 1 && byte > 1)
			break;
		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (!(byte & 0x80))
			return value;
	}
	return bytes_fail(b);
}

static inline int64_t bytes_sleb(struct cfi_bytes *b)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < LEB_BYTES_MAX && b->at < b->end; i++) {
		unsigned char byte = *b->at++;
		unsigned int bits = 7 * (i + 1);

		if (i == LEB_BYTES_MAX - 1 && byte != 0 && byte != 0x7f)
			break;
		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte & 0x80)
			continue;
		if ((byte & 0x40) && bits < 64)
			value |= UINT64_MAX << bits;
		return (int64_t)value;
	}
	return (int64_t)bytes_fail(b);
}

/* The next len bytes as a run of their own. */
static inline struct cfi_bytes bytes_split(struct cfi_bytes *b, uint64_t len)
{
	struct cfi_bytes part = { .at = b->at, .end = b->at };

	if (bytes_left(b) < len) {
		bytes_fail(b);
		part.bad = true;
	} else {
		part.end = b->at += len;
	}
	return part;
}

#endif
