/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include "cfi_parts.h"
#include "image.h"

#define HDR_VERSION       1
#define HDR_HEAD_MAX      20   /* version, three encodings, two numbers */
#define HDR_TABLE         0x3b /* pairs of sdata4, relative to the header: what can be searched */
#define HDR_ENTRY         8
#define HDR_SAMPLES       64 /* entries compared with their FDEs before a table is believed */
#define KEYS_FIRST        1024
#define ENCODING_RELATIVE 0x70

static int add_key(struct cfi_index *x, uint64_t vaddr, uint64_t offset)
{
	/* Functions that the linker has dropped are at 0, where no code can be. */
	if (!vaddr || vaddr < x->base || vaddr - x->base > UINT32_MAX || offset > UINT32_MAX)
		return 0;
	if (x->n == CFI_FDES_MAX)
		return -E2BIG;
	if (x->n == x->allocated) {
		size_t wanted = x->allocated ? 2 * x->allocated : KEYS_FIRST;
		uint64_t *keys = realloc(x->keys, wanted * sizeof(*keys));

		if (!keys)
			return -ENOMEM;
		x->keys = keys;
		x->allocated = wanted;
	}
	x->keys[x->n++] = (vaddr - x->base) << 32 | offset;
	return 0;
}

static uint64_t lowest_code(const struct object_info *info)
{
	uint64_t base = UINT64_MAX;

	for (size_t i = 0; i < info->n_segments; i++)
		if (info->segments[i].executable && info->segments[i].vaddr < base)
			base = info->segments[i].vaddr;
	return base;
}

/* Where the pairs begin and how many there are. -EBADMSG: there is no table to be used. */
static int hdr_table(struct cfi_reader *r, const struct cfi_section *hdr, uint64_t *ret_offset,
		     uint64_t *ret_count)
{
	unsigned char head[HDR_HEAD_MAX];
	size_t len = hdr->size < sizeof(head) ? (size_t)hdr->size : sizeof(head);
	struct cfi_bytes b = { .at = head, .end = head + len };
	uint8_t version, start_encoding, count_encoding, table_encoding;
	uint64_t ignored, count, used;
	int err;

	err = source_read(r->source, head, len, hdr->offset);
	if (err)
		return err;
	version = bytes_u8(&b);
	start_encoding = bytes_u8(&b);
	count_encoding = bytes_u8(&b);
	table_encoding = bytes_u8(&b);
	if (b.bad || version != HDR_VERSION || table_encoding != HDR_TABLE)
		return -EBADMSG;
	err = cfi_read_pointer(&b, start_encoding & (uint8_t)~ENCODING_RELATIVE, 0, &ignored);
	if (err)
		return err;
	err = cfi_read_pointer(&b, count_encoding, 0, &count);
	if (err)
		return err;
	used = (uint64_t)(b.at - head);
	if (count > (hdr->size - used) / HDR_ENTRY)
		return -EBADMSG;
	*ret_offset = hdr->offset + used;
	*ret_count = count;
	return 0;
}

/* Whether the FDEs begin where the table says. Looks at some, of which most must be readable. */
static int check_samples(struct cfi_reader *r, const struct cfi_index *x)
{
	size_t step = x->n / HDR_SAMPLES + 1, good = 0, bad = 0;

	for (size_t i = 0; i < x->n; i += step) {
		struct cfi_fde fde;
		int err = cfi_read_fde(r, cfi_index_offset(x, i), &fde);

		if (err && err != -EBADMSG)
			return err;
		if (!err && fde.start != cfi_index_start(x, i))
			return -EBADMSG;
		good += !err;
		bad += !!err;
	}
	return bad > good ? -EBADMSG : 0;
}

/* -EBADMSG: the table is of no use. */
static int from_hdr(struct cfi_reader *r, const struct cfi_section *hdr, struct cfi_index *x)
{
	uint64_t offset, count, last = 0;
	const void *data;
	struct cursor c;
	int n, err;

	err = hdr_table(r, hdr, &offset, &count);
	if (err)
		return err;
	cursor_init(&c, r->source, offset, count, HDR_ENTRY);
	while ((n = cursor_next(&c, &data)) > 0) {
		uint64_t vaddr, fde;
		int32_t pair[2];

		memcpy(pair, data, sizeof(pair));
		vaddr = hdr->vaddr + (uint64_t)(int64_t)pair[0];
		fde = hdr->vaddr + (uint64_t)(int64_t)pair[1] - r->section.vaddr;
		if (vaddr < last || fde >= r->section.size)
			return -EBADMSG;
		last = vaddr;
		err = add_key(x, vaddr, fde);
		if (err)
			return err;
	}
	if (n < 0)
		return n;
	return check_samples(r, x);
}

static int compare_keys(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int from_entries(struct cfi_reader *r, struct cfi_index *x)
{
	uint64_t offset = 0, next = 0;
	struct cfi_fde fde;
	int n, err;

	for (; (n = cfi_next_fde(r, &next, &fde)) >= 0; offset = next) {
		if (!n || fde.start == fde.end)
			continue;
		err = add_key(x, fde.start, offset);
		if (err)
			return err;
	}
	if (n != -ENODATA)
		return n;
	if (x->n)
		qsort(x->keys, x->n, sizeof(*x->keys), compare_keys);
	return 0;
}

int cfi_index_build(struct cfi_reader *r, const struct cfi_section *hdr,
		    const struct object_info *info, struct cfi_index *ret)
{
	struct cfi_index x = { .base = lowest_code(info) };
	int err = -EBADMSG;

	if (hdr->size && !r->debug_frame)
		err = from_hdr(r, hdr, &x);
	if (err == -EBADMSG) {
		x.n = 0;
		err = from_entries(r, &x);
	}
	if (err) {
		cfi_index_release(&x);
		return err;
	}
	*ret = x;
	return 0;
}

void cfi_index_release(struct cfi_index *x)
{
	free(x->keys);
}

size_t cfi_index_find(const struct cfi_index *x, uint64_t vaddr)
{
	size_t low = 0, high = x->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (cfi_index_start(x, middle) < vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
