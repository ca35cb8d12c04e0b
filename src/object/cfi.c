/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include "cfi_parts.h"
#include "gopcln.h"

#define GAP_MAX  15 /* bytes of padding between functions, which belong to the one before them */
#define FDES_FEW 8  /* the start files and the PLT have up to five */

struct builder {
	struct cfi_places places;
	struct cfi_reader reader;
	struct cfi_index index;
	struct gopcln *go; /* or NULL */
	struct cfi_stats stats;
	struct cfi_rows rows;
};

/* Code that the file has: a part of a segment. */
struct extent {
	uint64_t start, end; /* virtual addresses */
	uint64_t bias;       /* file offset = virtual address - bias */
};

static struct builder *builder_free(struct builder *b)
{
	cfi_reader_release(&b->reader);
	cfi_index_release(&b->index);
	gopcln_free(b->go);
	free(b);
	return NULL;
}
DEFINE_CLEANUP(struct builder *, builder_free)

/* What is left when the executable segment with the lowest offset at or after *offset is cut. */
static bool next_extent(const struct object_source *s, const struct object_info *info,
			uint64_t *offset, struct extent *ret)
{
	uint64_t limit = s->size < CFI_OFFSET_MAX ? s->size : CFI_OFFSET_MAX - 1;
	const struct object_segment *best = NULL;
	uint64_t start = 0, end = 0;

	for (size_t i = 0; i < info->n_segments; i++) {
		const struct object_segment *seg = &info->segments[i];
		uint64_t from = seg->offset > *offset ? seg->offset : *offset;
		uint64_t to = seg->offset + seg->size;

		if (to > limit)
			to = limit;
		if (seg->executable && from < to && (!best || from < start)) {
			best = seg;
			start = from;
			end = to;
		}
	}
	if (!best)
		return false;
	ret->bias = best->vaddr - best->offset;
	ret->start = start + ret->bias;
	ret->end = end + ret->bias;
	*offset = end;
	return true;
}

/* Of an FDE that cannot be read nobody knows the end: it is taken to reach to the next one. */
static uint64_t next_start(const struct cfi_index *x, size_t i, uint64_t end)
{
	if (i + 1 < x->n && cfi_index_start(x, i + 1) < end)
		return cfi_index_start(x, i + 1);
	return end;
}

/* What no FDE says anything of: code of Go, or nothing. */
static int add_gap(struct builder *b, uint64_t from, uint64_t to)
{
	cfi_rows_add(&b->rows, from, &cfi_none);
	return b->go ? gorows_add(b->go, &b->rows, from, to) : 0;
}

/* The rows of one FDE in what of the extent no other one has covered yet; moves *covered. */
static int add_fde(struct builder *b, size_t i, const struct extent *e, uint64_t *covered)
{
	uint64_t start = cfi_index_start(&b->index, i);
	struct cfi_span span = { .begin = start };
	struct cfi_fde fde;
	bool unread;
	int err;

	err = cfi_read_fde(&b->reader, cfi_index_offset(&b->index, i), &fde);
	if (err && err != -EBADMSG)
		return err;
	unread = err || fde.start != start;
	if (unread) {
		span.end = next_start(&b->index, i, e->end);
	} else {
		span.end = fde.end < e->end ? fde.end : e->end;
		/* Looked up by the byte before it, since nothing has called it. */
		if (fde.cie->signal && span.begin > e->start && fde.start < fde.end)
			span.begin--;
	}
	if (span.begin < *covered)
		span.begin = *covered;
	if (span.begin >= span.end)
		return 0;
	if (span.begin - *covered > GAP_MAX) {
		err = add_gap(b, *covered, span.begin);
		if (err)
			return err;
	}
	if (unread)
		cfi_rows_add(&b->rows, span.begin, &cfi_unsupported);
	else
		cfi_program_run(&fde, &span, &b->rows);
	*covered = span.end;
	b->stats.fdes++;
	b->stats.unread += unread;
	return b->rows.err;
}

static int add_extent(struct builder *b, const struct extent *e)
{
	uint64_t covered = e->start;
	int err;

	b->rows.bias = e->bias;
	for (size_t i = cfi_index_find(&b->index, e->start); i < b->index.n; i++) {
		if (cfi_index_start(&b->index, i) >= e->end)
			break;
		err = add_fde(b, i, e, &covered);
		if (err)
			return err;
	}
	err = add_gap(b, covered, e->end);
	if (err)
		return err;
	cfi_rows_add(&b->rows, e->end, &cfi_none);
	return b->rows.err;
}

/* Index one section. -ENOENT: it says nothing of any code. */
static int index_section(struct builder *b, const struct object_source *s,
			 const struct object_info *info, const struct cfi_section *section,
			 bool debug_frame)
{
	int err;

	if (!section->size)
		return -ENOENT;
	cfi_index_release(&b->index);
	b->index = (struct cfi_index){ 0 };
	cfi_reader_release(&b->reader);
	cfi_reader_init(&b->reader, s, section, debug_frame);
	err = cfi_index_build(&b->reader, &b->places.eh_frame_hdr, info, &b->index);
	if (err)
		return err;
	b->stats.debug_frame = debug_frame;
	return b->index.n ? 0 : -ENOENT;
}

/* .eh_frame, unless it is there for the start files only and .debug_frame knows more. */
static int index_file(struct builder *b, const struct object_source *s,
		      const struct object_info *info)
{
	int err = index_section(b, s, info, &b->places.eh_frame, false);
	size_t n = b->index.n;

	if ((err && err != -ENOENT) || n >= FDES_FEW || !b->places.debug_frame.size)
		return err;
	err = index_section(b, s, info, &b->places.debug_frame, true);
	if (!n || (!err && b->index.n > n))
		return err;
	return index_section(b, s, info, &b->places.eh_frame, false);
}

/* The function table of Go says more than its .debug_frame, which does not know of rbp. */
static int find_go(struct builder *b, const struct object_source *s, const struct object_info *info)
{
	struct image im;
	int err;

	err = image_open(s, &im);
	if (err)
		return err;
	err = gopcln_open(&im, info, &b->go);
	if (err)
		return err == -ENOENT || err == -EBADMSG || err == -E2BIG ? 0 : err;
	b->places.debug_frame.size = 0;
	b->stats.go = true;
	return 0;
}

int cfi_build(const struct object_source *s, const struct object_info *info,
	      const struct cfi_sink *sink, struct cfi_stats *ret_stats)
{
	_cleanup_(builder_free) struct builder *b = NULL;
	struct extent extent;
	uint64_t offset = 0;
	int err;

	if (info->machine != EM_X86_64)
		return -ENOTSUP;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	err = cfi_places_find(s, info, &b->places);
	if (err)
		return err;
	err = find_go(b, s, info);
	if (err)
		return err;
	err = index_file(b, s, info);
	if (err && (err != -ENOENT || !b->go))
		return err;
	cfi_rows_init(&b->rows, sink);
	while (next_extent(s, info, &offset, &extent)) {
		err = add_extent(b, &extent);
		if (err)
			return err;
	}
	err = cfi_rows_finish(&b->rows);
	if (err)
		return err;
	b->stats.rows = (uint32_t)b->rows.count;
	if (ret_stats)
		*ret_stats = b->stats;
	return 0;
}
