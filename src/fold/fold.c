/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flat storage: a stack is a run of frame numbers in an arena that never moves, found through a
 * hash index. A million stacks of thirty frames are some 200 MB; a prefix tree would not be
 * smaller, since each of its nodes needs an index entry of its own. The value is part of a
 * stack's key: off-CPU stacks end in a reason, so hardly any stack has weight in two values.
 */
#include <errno.h>
#include <string.h>
#include "base/table.h"
#include "fold.h"

#define CHUNK_BYTES (256 * 1024)

struct chunk {
	struct chunk *next;
	size_t used;
	_Alignas(uint64_t) char data[CHUNK_BYTES];
};

struct text {
	const char *data;
	uint32_t len;
};

struct stack {
	const uint32_t *frames;
	uint32_t n;
	uint32_t value; /* enum fold_value */
	struct fold_weight weight;
};

struct stack_key {
	const uint32_t *frames;
	size_t n;
	enum fold_value value;
};

/* An array that grows by doubling up to its quota. */
struct pool {
	void *items;
	uint32_t count;
	uint32_t allocated;
};

struct fold {
	struct chunk *chunks;
	size_t arena_bytes;
	struct pool texts, frames, stacks;
	struct table text_index, frame_index, stack_index;
	uint32_t full_frame; /* "[stacks table full]" */
	struct fold_weight full[FOLD_VALUE_MAX];
	struct fold_weight total[FOLD_VALUE_MAX];
};

static void *arena_alloc(struct fold *f, size_t len)
{
	struct chunk *c = f->chunks;

	len = (len + 3) & ~(size_t)3;
	if (!c || len > sizeof(c->data) - c->used) {
		if (f->arena_bytes + sizeof(*c) > FOLD_ARENA_MAX)
			return NULL;
		c = malloc(sizeof(*c));
		if (!c)
			return NULL;
		c->next = f->chunks;
		c->used = 0;
		f->chunks = c;
		f->arena_bytes += sizeof(*c);
	}
	c->used += len;
	return c->data + c->used - len;
}

/* Room for one more item; the caller fills it and counts it. NULL when full. */
static void *pool_next(struct pool *p, size_t item, uint32_t quota)
{
	void *items;
	uint32_t n;

	if (p->count == p->allocated) {
		if (p->count >= quota)
			return NULL;
		n = p->allocated ? p->allocated * 2 : 64;
		if (n > quota)
			n = quota;
		items = realloc(p->items, n * item);
		if (!items)
			return NULL;
		p->items = items;
		p->allocated = n;
	}
	return (char *)p->items + p->count * item;
}

static const struct text *text_at(const struct fold *f, uint32_t i)
{
	return (const struct text *)f->texts.items + i;
}

static struct stack *stack_at(const struct fold *f, uint32_t i)
{
	return (struct stack *)f->stacks.items + i;
}

static bool text_equal(const void *owner, uint32_t value, const void *key)
{
	const struct text *a = text_at(owner, value), *b = key;

	return a->len == b->len && !memcmp(a->data, b->data, a->len);
}

uint32_t fold_text(struct fold *f, const char *text, size_t len)
{
	struct text key = { .data = len ? text : "" }, *t;
	uint32_t hash, i;
	char *copy;

	key.len = (uint32_t)(len < FOLD_TEXT_LEN_MAX ? len : FOLD_TEXT_LEN_MAX);
	hash = table_hash(key.data, key.len);
	i = table_find(&f->text_index, hash, &key, text_equal, f);
	if (i != TABLE_NONE)
		return i;
	t = pool_next(&f->texts, sizeof(*t), FOLD_TEXTS_MAX);
	if (!t)
		return TABLE_NONE;
	copy = arena_alloc(f, key.len + 1);
	if (!copy || table_insert(&f->text_index, hash, f->texts.count))
		return TABLE_NONE;
	memcpy(copy, key.data, key.len);
	copy[key.len] = '\0';
	*t = (struct text){ copy, key.len };
	return f->texts.count++;
}

static bool frame_equal(const void *owner, uint32_t value, const void *key)
{
	const struct frame *a = fold_get(owner, value), *b = key;

	return a->type == b->type && a->id == b->id && a->where == b->where;
}

uint32_t fold_frame(struct fold *f, const struct frame *frame)
{
	uint32_t hash = table_hash(frame, sizeof(*frame));
	uint32_t i = table_find(&f->frame_index, hash, frame, frame_equal, f);
	struct frame *slot;

	if (i != TABLE_NONE)
		return i;
	slot = pool_next(&f->frames, sizeof(*slot), FOLD_FRAMES_MAX);
	if (!slot || table_insert(&f->frame_index, hash, f->frames.count))
		return TABLE_NONE;
	*slot = *frame;
	return f->frames.count++;
}

static bool stack_equal(const void *owner, uint32_t value, const void *key)
{
	const struct stack *a = stack_at(owner, value);
	const struct stack_key *b = key;

	return a->n == b->n && a->value == (uint32_t)b->value &&
	       !memcmp(a->frames, b->frames, a->n * sizeof(*a->frames));
}

static struct stack *add_stack(struct fold *f, const struct stack_key *key, uint32_t hash)
{
	struct stack *s = pool_next(&f->stacks, sizeof(*s), FOLD_STACKS_MAX);
	uint32_t *frames;

	if (!s)
		return NULL;
	frames = arena_alloc(f, key->n * sizeof(*frames));
	if (!frames || table_insert(&f->stack_index, hash, f->stacks.count))
		return NULL;
	memcpy(frames, key->frames, key->n * sizeof(*frames));
	*s = (struct stack){ .frames = frames, .n = (uint32_t)key->n, .value = key->value };
	f->stacks.count++;
	return s;
}

static void weight_add(struct fold_weight *to, const struct fold_weight *w)
{
	to->weight += w->weight;
	to->variance += w->variance;
	to->samples += w->samples;
}

/* False where a frame could not be interned, which its number says. */
static bool frames_known(const struct fold *f, const uint32_t *frames, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (frames[i] >= f->frames.count)
			return false;
	return true;
}

int fold_add(struct fold *f, enum fold_value value, const uint32_t *frames, size_t n,
	     const struct fold_weight *w)
{
	const struct stack_key key = { frames, n, value };
	struct stack *s = NULL;
	uint32_t hash, i;

	if (!n || n > FOLD_DEPTH_MAX || value >= FOLD_VALUE_MAX)
		return -EINVAL;
	weight_add(&f->total[value], w);
	if (frames_known(f, frames, n)) {
		hash = table_hash(frames, n * sizeof(*frames)) + (uint32_t)value;
		i = table_find(&f->stack_index, hash, &key, stack_equal, f);
		s = i != TABLE_NONE ? stack_at(f, i) : add_stack(f, &key, hash);
	}
	if (!s) {
		weight_add(&f->full[value], w);
		return -ENOSPC;
	}
	weight_add(&s->weight, w);
	return 0;
}

struct fold_weight fold_total(const struct fold *f, enum fold_value value)
{
	return f->total[value];
}

size_t fold_stacks(const struct fold *f)
{
	return f->stacks.count;
}

void fold_each(const struct fold *f, enum fold_value value,
	       void (*fn)(void *ctx, const uint32_t *frames, size_t n, const struct fold_weight *w),
	       void *ctx)
{
	for (uint32_t i = 0; i < f->stacks.count; i++) {
		const struct stack *s = stack_at(f, i);

		if (s->value == (uint32_t)value)
			fn(ctx, s->frames, s->n, &s->weight);
	}
	if (f->full[value].samples)
		fn(ctx, &f->full_frame, 1, &f->full[value]);
}

const struct frame *fold_get(const struct fold *f, uint32_t frame)
{
	return (const struct frame *)f->frames.items + frame;
}

uint32_t fold_frames(const struct fold *f)
{
	return f->frames.count;
}

const char *fold_get_text(const struct fold *f, uint32_t text, size_t *ret_len)
{
	const struct text *t = text_at(f, text);

	*ret_len = t->len;
	return t->data;
}

int fold_new(struct fold **ret)
{
	static const char full[] = "[stacks table full]";
	_cleanup_(fold_free) struct fold *f = calloc(1, sizeof(*f));
	struct frame frame = { .type = FRAME_MARKER };

	if (!f)
		return -ENOMEM;
	frame.id = fold_text(f, full, sizeof(full) - 1);
	if (frame.id == TABLE_NONE)
		return -ENOMEM;
	f->full_frame = fold_frame(f, &frame);
	if (f->full_frame == TABLE_NONE)
		return -ENOMEM;
	*ret = TAKE_PTR(f);
	return 0;
}

struct fold *fold_free(struct fold *f)
{
	if (!f)
		return NULL;
	while (f->chunks) {
		struct chunk *c = f->chunks;

		f->chunks = c->next;
		free(c);
	}
	free(f->texts.items);
	free(f->frames.items);
	free(f->stacks.items);
	table_release(&f->text_index);
	table_release(&f->frame_index);
	table_release(&f->stack_index);
	free(f);
	return NULL;
}
