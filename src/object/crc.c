/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <zlib.h>
#include "image.h"

#define CRC_CHUNK 32768

int object_crc32(const struct object_source *s, uint32_t *ret)
{
	unsigned char chunk[CRC_CHUNK];
	uLong crc = crc32(0, NULL, 0);
	uint64_t offset = 0;

	if (s->size > OBJECT_CRC_MAX)
		return -EFBIG;
	while (offset < s->size) {
		uint64_t left = s->size - offset;
		size_t len = left < sizeof(chunk) ? (size_t)left : sizeof(chunk);
		int err = source_read(s, chunk, len, offset);

		if (err)
			return err;
		crc = crc32(crc, chunk, (uInt)len);
		offset += len;
	}
	*ret = (uint32_t)crc;
	return 0;
}
