/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "base/text.h"
#include "perfmap.h"

struct range {
	uint64_t start, end;
	uint32_t name, len; /* in names */
	uint32_t line;
};

struct perfmap {
	struct range *ranges;
	size_t count, allocated;
	struct buf names;
};

struct perfmap *perfmap_free(struct perfmap *m)
{
	if (!m)
		return NULL;
	free(m->ranges);
	buf_release(&m->names);
	free(m);
	return NULL;
}

static int parse_line(struct perfmap *m, const char *p, const char *end)
{
	uint64_t start, size, stop;
	size_t len;

	if (text_scan_u64(&p, end, 16, &start) || p >= end || *p++ != ' ' ||
	    text_scan_u64(&p, end, 16, &size) || p >= end || *p++ != ' ' || p >= end)
		return 0;
	if (!size || __builtin_add_overflow(start, size, &stop))
		return 0;
	if (m->count == PERFMAP_SYMBOLS_MAX)
		return -EFBIG;
	if (m->count == m->allocated) {
		size_t want = m->allocated ? m->allocated * 2 : 1024;
		struct range *r = realloc(m->ranges, want * sizeof(*r));

		if (!r)
			return -ENOMEM;
		m->ranges = r;
		m->allocated = want;
	}
	len = (size_t)(end - p);
	if (len > PERFMAP_NAME_MAX)
		len = PERFMAP_NAME_MAX;
	m->ranges[m->count] = (struct range){ .start = start,
					      .end = stop,
					      .name = (uint32_t)m->names.len,
					      .len = (uint32_t)len,
					      .line = (uint32_t)m->count };
	m->count++;
	return buf_add(&m->names, p, len);
}

static int compare_ranges(const void *va, const void *vb)
{
	const struct range *a = va, *b = vb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->line < b->line ? -1 : a->line > b->line;
}

/*
 * Sweep over the starts and ends of the ranges with a heap of those that are open, the latest
 * line on top: its name holds until something later opens or it ends.
 */
struct heap {
	const struct range **items;
	size_t count;
};

static void heap_push(struct heap *h, const struct range *r)
{
	size_t i = h->count++;

	for (; i && h->items[(i - 1) / 2]->line < r->line; i = (i - 1) / 2)
		h->items[i] = h->items[(i - 1) / 2];
	h->items[i] = r;
}

static void heap_pop(struct heap *h)
{
	const struct range *r = h->items[--h->count];
	size_t i = 0, child;

	for (; (child = 2 * i + 1) < h->count; i = child) {
		if (child + 1 < h->count && h->items[child + 1]->line > h->items[child]->line)
			child++;
		if (h->items[child]->line < r->line)
			break;
		h->items[i] = h->items[child];
	}
	h->items[i] = r;
}

static void emit(struct range *out, size_t *n, const struct range *r, uint64_t from, uint64_t to)
{
	if (from >= to)
		return;
	if (*n && out[*n - 1].line == r->line && out[*n - 1].end == from) {
		out[*n - 1].end = to;
		return;
	}
	out[*n] = *r;
	out[*n].start = from;
	out[(*n)++].end = to;
}

/* Each range adds at most two pieces: one where it opens, one where something on top ends. */
static int cut_overlaps(struct perfmap *m)
{
	_cleanup_free_ const struct range **items = calloc(m->count + 1, sizeof(*items));
	struct range *out = malloc((2 * m->count + 1) * sizeof(*out)), *fit;
	struct heap h = { .items = items };
	uint64_t at = 0;
	size_t n = 0, i = 0;

	if (!items || !out) {
		free(out);
		return -ENOMEM;
	}
	while (i < m->count || h.count) {
		const struct range *top = h.count ? h.items[0] : NULL;

		if (top && top->end <= at) {
			heap_pop(&h);
		} else if (i < m->count && (!top || m->ranges[i].start < top->end)) {
			if (top)
				emit(out, &n, top, at, m->ranges[i].start);
			at = m->ranges[i].start;
			heap_push(&h, &m->ranges[i++]);
		} else {
			emit(out, &n, top, at, top->end);
			at = top->end;
			heap_pop(&h);
		}
	}
	free(m->ranges);
	m->ranges = out;
	m->allocated = m->count = n;
	/* Failing to shrink is no failure. */
	fit = n ? realloc(out, n * sizeof(*out)) : NULL;
	if (fit)
		m->ranges = fit;
	return 0;
}

int perfmap_parse(const char *text, size_t len, struct perfmap **ret)
{
	_cleanup_(perfmap_free) struct perfmap *m = calloc(1, sizeof(*m));
	const char *p = text, *end = text + len, *newline;
	int err = 0;

	if (!m)
		return -ENOMEM;
	buf_init(&m->names, PERFMAP_BYTES_MAX);
	/* A last line without its end is still being written: its name may be half of one. */
	for (; !err && p < end && (newline = memchr(p, '\n', (size_t)(end - p))); p = newline + 1)
		err = parse_line(m, p, newline);
	if (err)
		return err;
	if (!m->count)
		return -ENOENT;
	qsort(m->ranges, m->count, sizeof(*m->ranges), compare_ranges);
	err = cut_overlaps(m);
	if (err)
		return err;
	*ret = TAKE_PTR(m);
	return 0;
}

int perfmap_read(int fd, struct perfmap **ret)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_size > PERFMAP_BYTES_MAX)
		return -EFBIG;
	if (st.st_size <= 0)
		return -ENOENT;
	text = malloc((size_t)st.st_size);
	if (!text)
		return -ENOMEM;
	n = file_pread(fd, text, (size_t)st.st_size, 0);
	if (n < 0)
		return (int)n;
	return perfmap_parse(text, (size_t)n, ret);
}

size_t perfmap_count(const struct perfmap *m)
{
	return m->count;
}

size_t perfmap_bytes(const struct perfmap *m)
{
	return sizeof(*m) + m->allocated * sizeof(*m->ranges) + m->names.allocated;
}

const char *perfmap_find(const struct perfmap *m, uint64_t address, size_t *ret_len)
{
	size_t low = 0, high = m->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->ranges[middle].end > address)
			high = middle;
		else
			low = middle + 1;
	}
	if (low == m->count || m->ranges[low].start > address)
		return NULL;
	*ret_len = m->ranges[low].len;
	return m->names.data + m->ranges[low].name;
}
