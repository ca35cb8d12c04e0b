/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <lzma.h>
#include <string.h>
#include "symtab.h"

#define INPUT_CHUNK  16384
#define OUTPUT_FIRST 65536

/* What comes out, in memory that grows as it comes. */
struct output {
	unsigned char *data;
	size_t allocated;
};

static inline void cleanup_output(struct output *o)
{
	free(o->data);
}

static inline void cleanup_lzma_end(lzma_stream *z)
{
	lzma_end(z);
}

static int from_lzma(lzma_ret ret)
{
	return ret == LZMA_MEM_ERROR ? -ENOMEM : -EBADMSG;
}

/* Room behind what the stream has written. */
static int grow(struct output *o, lzma_stream *z)
{
	size_t size = o->allocated ? o->allocated * 2 : OUTPUT_FIRST;
	unsigned char *data;

	if (o->allocated >= MINIDEBUG_MAX)
		return -EFBIG;
	data = realloc(o->data, size);
	if (!data)
		return -ENOMEM;
	z->next_out = data + o->allocated;
	z->avail_out = size - o->allocated;
	o->data = data;
	o->allocated = size;
	return 0;
}

static int unpack(lzma_stream *z, const struct object_source *s, const Elf64_Shdr *section,
		  struct output *o)
{
	uint64_t offset = section->sh_offset, left = section->sh_size;
	unsigned char input[INPUT_CHUNK];
	lzma_ret ret = LZMA_OK;
	int err;

	if (left > MINIDEBUG_XZ_MAX)
		left = MINIDEBUG_XZ_MAX;
	while (ret == LZMA_OK) {
		if (!z->avail_in && left) {
			size_t n = left < sizeof(input) ? (size_t)left : sizeof(input);

			err = source_read(s, input, n, offset);
			if (err)
				return err;
			z->next_in = input;
			z->avail_in = n;
			offset += n;
			left -= n;
		}
		if (!z->avail_out) {
			err = grow(o, z);
			if (err)
				return err;
		}
		/* At the end of the input it says LZMA_BUF_ERROR where it has not seen its own. */
		ret = lzma_code(z, left ? LZMA_RUN : LZMA_FINISH);
	}
	return ret == LZMA_STREAM_END ? 0 : from_lzma(ret);
}

int minidebug_unpack(const struct object_source *s, const Elf64_Shdr *section, void **ret,
		     size_t *ret_len)
{
	_cleanup_(lzma_end) lzma_stream z = LZMA_STREAM_INIT;
	_cleanup_(output) struct output o = { 0 };
	lzma_ret status = lzma_stream_decoder(&z, MINIDEBUG_MEMORY_MAX, 0);
	int err;

	if (status != LZMA_OK)
		return from_lzma(status);
	err = unpack(&z, s, section, &o);
	if (err)
		return err;
	*ret_len = (size_t)z.total_out;
	*ret = TAKE_PTR(o.data);
	return 0;
}

/* Its .symtab; the code is where the file that is mapped says. */
static int read_image(struct loader *l, const struct image *im)
{
	const void *entry;
	struct cursor c;
	int n;

	cursor_sections(&c, im);
	while ((n = cursor_next(&c, &entry)) > 0) {
		Elf64_Shdr s;

		memcpy(&s, entry, sizeof(s));
		if (s.sh_type == SHT_SYMTAB)
			return loader_table(l, im, &s);
	}
	return n;
}

int minidebug_read(struct loader *l, const Elf64_Shdr *section)
{
	_cleanup_free_ void *data = NULL;
	struct object_memory m = { 0 };
	size_t before = l->table->count;
	struct object_source s;
	struct image im;
	int err;

	err = minidebug_unpack(l->image.source, section, &data, &m.len);
	if (err)
		return err;
	m.data = data;
	object_source_memory(&s, &m);
	err = image_open(&s, &im);
	if (err)
		return err;
	err = read_image(l, &im);
	if (err)
		l->table->count = before;
	return err;
}
