/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdint.h>
#include "batch.h"

struct batch_entry {
	uint64_t time_ns;
	size_t offset;
};

void batch_init(struct batch *b)
{
	*b = (struct batch){ 0 };
	buf_init(&b->bytes, BATCH_BYTES_MAX);
	buf_init(&b->order, BATCH_BYTES_MAX);
}

void batch_release(struct batch *b)
{
	buf_release(&b->bytes);
	buf_release(&b->order);
}

void batch_clear(struct batch *b)
{
	buf_clear(&b->bytes);
	buf_clear(&b->order);
}

void batch_add(struct batch *b, const struct foldd_record *r, size_t size)
{
	struct batch_entry entry = { .time_ns = r->time_ns, .offset = b->bytes.len };

	/* sizes are multiples of 8, so every record in the buffer is aligned */
	if (buf_add(&b->bytes, r, size) || buf_add(&b->order, &entry, sizeof(entry))) {
		b->refused++;
		b->refused_ns += r->value_ns;
	}
}

static int by_time(const void *a, const void *b)
{
	const struct batch_entry *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

void batch_sort(struct batch *b)
{
	if (b->order.len)
		qsort(b->order.data, batch_count(b), sizeof(struct batch_entry), by_time);
}

size_t batch_count(const struct batch *b)
{
	return b->order.len / sizeof(struct batch_entry);
}

const struct foldd_record *batch_get(const struct batch *b, size_t i)
{
	const struct batch_entry *e = (const struct batch_entry *)(const void *)b->order.data;

	return (const struct foldd_record *)(const void *)(b->bytes.data + e[i].offset);
}
