/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "space.h"

void space_release(struct space *s)
{
	free(s->mappings);
	*s = (struct space){ 0 };
}

void space_clear(struct space *s)
{
	space_release(s);
}

/* Index of the first mapping that ends after the address. */
static size_t first_after(const struct mapping *mappings, size_t count, uint64_t address)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (mappings[middle].end > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

const struct mapping *space_find(const struct mapping *mappings, size_t count, uint64_t address)
{
	size_t i = first_after(mappings, count, address);

	return i < count && mappings[i].start <= address ? &mappings[i] : NULL;
}

static bool same_content(const struct mapping *a, const struct mapping *b)
{
	return a->object == b->object && a->bias == b->bias;
}

static void join(struct mapping *m, const struct mapping *other)
{
	if (other->start < m->start)
		m->start = other->start;
	if (other->end > m->end)
		m->end = other->end;
	if (other->made_ns < m->made_ns)
		m->made_ns = other->made_ns;
}

static int reserve(struct space *s, size_t count)
{
	size_t want = s->allocated ? s->allocated : 8;
	struct mapping *p;

	if (count <= s->allocated)
		return 0;
	while (want < count)
		want *= 2;
	p = realloc(s->mappings, want * sizeof(*p));
	if (!p)
		return -ENOMEM;
	s->mappings = p;
	s->allocated = want;
	return 0;
}

/* Put the n pieces in the place of mappings [from, to). */
static int splice(struct space *s, size_t from, size_t to, const struct mapping *pieces, size_t n,
		  size_t limit)
{
	size_t count = s->count - (to - from) + n;

	if (count > limit && count > s->count)
		return -ENOSPC;
	if (reserve(s, count))
		return -ENOMEM;
	memmove(s->mappings + from + n, s->mappings + to, (s->count - to) * sizeof(*pieces));
	memcpy(s->mappings + from, pieces, n * sizeof(*pieces));
	s->count = count;
	return 0;
}

int space_add(struct space *s, const struct mapping *m, size_t limit, bool *ret_replaced)
{
	struct mapping new = *m, pieces[3];
	const struct mapping *v = s->mappings;
	size_t from = first_after(v, s->count, m->start), to = from, n = 0;
	bool replaced = false;
	int err;

	if (from < s->count && v[from].start <= m->start && v[from].end >= m->end &&
	    same_content(&v[from], m))
		return 0;
	for (; to < s->count && v[to].start < m->end; to++) {
		if (same_content(&v[to], m))
			join(&new, &v[to]);
		else
			replaced = true;
	}
	if (from > 0 && v[from - 1].end == new.start && same_content(&v[from - 1], m))
		join(&new, &v[--from]);
	if (to < s->count && v[to].start == new.end &&same_content(&v[to], m))
		join(&new, &v[to++]);
	if (from < to && v[from].start < new.start) {
		pieces[n] = v[from];
		pieces[n++].end = new.start;
	}
	pieces[n++] = new;
	if (from < to && v[to - 1].end > new.end) {
		pieces[n] = v[to - 1];
		pieces[n++].start = new.end;
	}
	err = splice(s, from, to, pieces, n, limit);
	if (err)
		return err;
	if (replaced)
		*ret_replaced = true;
	return 1;
}

int space_copy(struct space *to, const struct space *from)
{
	if (!from->count)
		return 0;
	to->mappings = malloc(from->count * sizeof(*to->mappings));
	if (!to->mappings)
		return -ENOMEM;
	memcpy(to->mappings, from->mappings, from->count * sizeof(*to->mappings));
	to->count = to->allocated = from->count;
	return 0;
}

bool space_update(struct space *s, struct space *found, bool *ret_replaced)
{
	size_t i = 0, j = 0, equal = 0, count = s->count;

	while (i < s->count && j < found->count) {
		struct mapping *a = &s->mappings[i], *b = &found->mappings[j];

		if (a->start < b->end && b->start < a->end) {
			if (!same_content(a, b))
				*ret_replaced = true;
			else if (a->made_ns && (!b->made_ns || a->made_ns < b->made_ns))
				b->made_ns = a->made_ns;
			equal += same_content(a, b) && a->start == b->start && a->end == b->end;
		}
		if (a->end <= b->end)
			i++;
		else
			j++;
	}
	space_release(s);
	*s = *found;
	*found = (struct space){ 0 };
	return equal != s->count || equal != count;
}
