/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines are runs of numbers of distinct names, not text: what a million stacks would take as text
 * is several GB. No name is empty or holds a ';', so two lines are the same text exactly where
 * they are the same run.
 */
#include <errno.h>
#include <string.h>
#include <foldd/reason.h>
#include "base/table.h"
#include "escape.h"
#include "render.h"
#include "summary.h"

#define RAW_NAME_MAX (1U << 20) /* demangled C++ can be long; it is cut by escape_name */
#define CUT_MARKER   "[frames cut: line too long]"
/* Room for the separator of the marker, a blank, 20 digits and the line's end. */
#define LINE_NAMES ((size_t)FOLD_DEPTH_MAX * (1 + INLINES_DEPTH_MAX))
#define LINE_ROOM  (EXPORT_LINE_MAX - sizeof(CUT_MARKER) - 24)

struct name {
	uint32_t start, len; /* in text */
};

struct render {
	const struct fold *fold;
	struct names *source;
	struct buf text; /* the distinct names, one behind the other */
	struct name *names;
	uint32_t n_names, allocated_names;
	struct table name_index;
	uint32_t *of_frame; /* name of a frame, or TABLE_NONE while it has none */
	uint8_t *unnamed;   /* bit per frame: a user frame without a symbol's name */
	uint32_t *inlines;  /* of a frame: where its run is in inlined; NULL: not wanted */
	uint32_t *inlined;  /* runs: how many, then their names, outermost first; [0] is none */
	uint32_t n_inlined, allocated_inlined;
	uint32_t *names_of_line; /* LINE_NAMES: those of the stack that is added */
	uint32_t cut_marker;
	struct line *lines;
	uint32_t n_lines, allocated_lines;
	struct table line_index;
	uint32_t **runs; /* blocks that the lines' numbers are in */
	size_t n_runs, run_used;
	struct export_names naming;
	struct buf raw, escaped;
	int error;
};

#define RUN_NUMBERS 65536 /* in a block */
_Static_assert(LINE_NAMES <= RUN_NUMBERS, "a line fits into a block");

static bool name_equal(const void *owner, uint32_t value, const void *key)
{
	const struct render *r = owner;
	const struct buf *b = key;

	return r->names[value].len == b->len &&
	       !memcmp(r->text.data + r->names[value].start, b->data, b->len);
}

/* Double an array when it is full. */
static int grow(void *array, uint32_t *allocated, uint32_t count, size_t item)
{
	uint32_t n = *allocated ? *allocated * 2 : 64;
	void *old, *p;

	if (count < *allocated)
		return 0;
	memcpy(&old, array, sizeof(old));
	p = reallocarray(old, n, item);
	if (!p)
		return -ENOMEM;
	memcpy(array, &p, sizeof(p));
	*allocated = n;
	return 0;
}

/* The number of the name in r->escaped. */
static int intern(struct render *r, uint32_t *ret)
{
	const struct buf *b = &r->escaped;
	uint32_t hash = table_hash(b->data, b->len);
	uint32_t i = table_find(&r->name_index, hash, b, name_equal, r);
	size_t start = r->text.len;
	int err;

	if (i == TABLE_NONE) {
		i = r->n_names;
		err = grow(&r->names, &r->allocated_names, i, sizeof(*r->names));
		if (!err)
			err = buf_add(&r->text, b->data, b->len);
		if (!err)
			err = table_insert(&r->name_index, hash, i);
		if (err)
			return err;
		r->names[i] = (struct name){ (uint32_t)start, (uint32_t)b->len };
		r->n_names++;
	}
	*ret = i;
	return 0;
}

static int escape_raw(struct render *r)
{
	if (r->raw.error == -ENOMEM)
		return -ENOMEM;
	if (r->raw.error)
		return buf_adds(&r->escaped, "[name too long]");
	return escape_name(&r->escaped, r->raw.data, r->raw.len);
}

static int name_text(struct render *r, const struct frame *frame)
{
	size_t len;
	const char *text = fold_get_text(r->fold, frame->id, &len);

	return escape_name(&r->escaped, text, len);
}

static int name_reason(struct render *r, const struct frame *frame)
{
	const char *reason = foldd_reason_name(frame->id);

	if (!reason)
		reason = foldd_reason_name(FOLDD_REASON_UNCLASSIFIED);
	return buf_printf(&r->escaped, "[%s]", reason);
}

/* Sets the name in r->escaped; *ret_symbol: it is a symbol's. */
static int name_frame(struct render *r, const struct frame *frame, bool *ret_symbol)
{
	bool symbol = false;
	int err;

	buf_clear(&r->raw);
	buf_clear(&r->escaped);
	switch (frame->type) {
	case FRAME_TEXT:
	case FRAME_MARKER:
		err = name_text(r, frame);
		break;
	case FRAME_REASON:
		err = name_reason(r, frame);
		break;
	case FRAME_USER:
		symbol = names_object(r->source, frame->id, frame->where, &r->raw);
		err = escape_raw(r);
		break;
	case FRAME_JIT:
		symbol = names_jit(r->source, frame->id, frame->where, &r->raw);
		err = escape_raw(r);
		if (!err && symbol)
			err = buf_adds(&r->escaped, "_[j]");
		break;
	case FRAME_KERNEL:
		symbol = names_kernel(r->source, frame->where, &r->raw);
		err = escape_raw(r);
		if (!err)
			err = buf_adds(&r->escaped, "_[k]");
		break;
	default:
		err = buf_adds(&r->escaped, "[unknown]");
	}
	*ret_symbol = symbol;
	return err;
}

static bool is_user(const struct frame *frame)
{
	return frame->type == FRAME_USER || frame->type == FRAME_JIT ||
	       frame->type == FRAME_ADDRESS;
}

static int frame_name(struct render *r, uint32_t i, uint32_t *ret)
{
	const struct frame *frame = fold_get(r->fold, i);
	bool symbol;
	int err;

	if (r->of_frame[i] == TABLE_NONE) {
		err = name_frame(r, frame, &symbol);
		if (!err)
			err = intern(r, &r->of_frame[i]);
		if (err)
			return err;
		if (is_user(frame) && !symbol)
			r->unnamed[i / 8] |= (uint8_t)(1U << (i % 8));
	}
	*ret = r->of_frame[i];
	return 0;
}

/* A run of the names in r->raw, each with its NUL, the innermost first. */
static int add_run(struct render *r, uint32_t i, size_t n)
{
	const char *name = r->raw.data;
	uint32_t *run;
	int err;

	for (size_t need = 0; need <= n; need++) {
		err = grow(&r->inlined, &r->allocated_inlined, r->n_inlined + (uint32_t)need,
			   sizeof(*r->inlined));
		if (err)
			return err;
	}
	run = r->inlined + r->n_inlined;
	run[0] = (uint32_t)n;
	for (; n; n--) {
		buf_clear(&r->escaped);
		err = escape_name(&r->escaped, name, strlen(name));
		if (!err)
			err = buf_adds(&r->escaped, "_[i]");
		if (!err)
			err = intern(r, &run[n]);
		if (err)
			return err;
		name += strlen(name) + 1;
	}
	r->inlines[i] = r->n_inlined;
	r->n_inlined += 1 + run[0];
	return 0;
}

static int find_inlines(struct render *r, uint32_t i)
{
	const struct frame *frame = fold_get(r->fold, i);
	size_t n;

	buf_clear(&r->raw);
	n = names_inlines(r->source, frame->id, frame->where, &r->raw);
	if (r->raw.error == -ENOMEM)
		return -ENOMEM;
	return n && !r->raw.error ? add_run(r, i, n) : 0;
}

static int compare_objects(const void *a, const void *b, void *ctx)
{
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	const struct frame *x = fold_get(ctx, i), *y = fold_get(ctx, j);

	return x->id == y->id ? (i > j) - (i < j) : (x->id > y->id) - (x->id < y->id);
}

/* All before the stacks, file by file: debug information is read anew when the file changes. */
static int prepare_inlines(struct render *r)
{
	size_t n = fold_frames(r->fold), n_user = 0;
	_cleanup_free_ uint32_t *user = malloc(n * sizeof(*user) + 1);
	int err;

	r->inlines = calloc(n + 1, sizeof(*r->inlines));
	if (!user || !r->inlines)
		return -ENOMEM;
	err = grow(&r->inlined, &r->allocated_inlined, 0, sizeof(*r->inlined));
	if (err)
		return err;
	r->inlined[r->n_inlined++] = 0;
	for (uint32_t i = 0; i < n; i++)
		if (fold_get(r->fold, i)->type == FRAME_USER)
			user[n_user++] = i;
	/* qsort_r does not modify what it hands on. */
	qsort_r(user, n_user, sizeof(*user), compare_objects, (void *)(uintptr_t)r->fold);
	for (size_t i = 0; i < n_user && !err; i++)
		err = find_inlines(r, user[i]);
	return err;
}

static size_t put_inlines(const struct render *r, uint32_t frame, uint32_t *names)
{
	const uint32_t *run;

	if (!r->inlines)
		return 0;
	run = r->inlined + r->inlines[frame];
	memcpy(names, run + 1, run[0] * sizeof(*names));
	return run[0];
}

static void count_naming(struct render *r, const uint32_t *frames, size_t n, double weight)
{
	for (size_t i = n; i; i--) {
		uint32_t leaf = frames[i - 1];

		if (!is_user(fold_get(r->fold, leaf)))
			continue;
		r->naming.user_weight += weight;
		if (r->unnamed[leaf / 8] >> (leaf % 8) & 1)
			r->naming.unnamed_weight += weight;
		return;
	}
}

/*
 * Keep the line under its limit: frames go from the middle of the stack, since its root says
 * what ran and its leaf why it waited. Returns the new number of names.
 */
static size_t cut(const struct render *r, uint32_t *names, size_t n)
{
	size_t sum = 0, root = 0, leaf = n, len;

	for (size_t i = 0; i < n; i++)
		sum += r->names[names[i]].len + 1;
	if (sum <= LINE_ROOM)
		return n;
	for (sum = 0; root < n; root++) {
		len = r->names[names[root]].len + 1;
		if (sum + len > LINE_ROOM / 2)
			break;
		sum += len;
	}
	for (; leaf > root; leaf--) {
		len = r->names[names[leaf - 1]].len + 1;
		if (sum + len > LINE_ROOM)
			break;
		sum += len;
	}
	names[root] = r->cut_marker;
	memmove(names + root + 1, names + leaf, (n - leaf) * sizeof(*names));
	return root + 1 + n - leaf;
}

static bool line_equal(const void *owner, uint32_t value, const void *key)
{
	const struct line *a = &((const struct render *)owner)->lines[value], *b = key;

	return a->n == b->n && !memcmp(a->names, b->names, a->n * sizeof(*a->names));
}

static const uint32_t *keep_run(struct render *r, const uint32_t *names, size_t n)
{
	uint32_t **runs, *block;

	if (!r->n_runs || n > RUN_NUMBERS - r->run_used) {
		runs = reallocarray(r->runs, r->n_runs + 1, sizeof(*runs));
		if (!runs)
			return NULL;
		r->runs = runs;
		block = malloc(RUN_NUMBERS * sizeof(*block));
		if (!block)
			return NULL;
		r->runs[r->n_runs++] = block;
		r->run_used = 0;
	}
	block = r->runs[r->n_runs - 1] + r->run_used;
	memcpy(block, names, n * sizeof(*names));
	r->run_used += n;
	return block;
}

static int add_line(struct render *r, const uint32_t *names, size_t n, const struct fold_weight *w)
{
	struct line key = { .names = names, .n = (uint32_t)n };
	uint32_t hash = table_hash(names, n * sizeof(*names));
	uint32_t i = table_find(&r->line_index, hash, &key, line_equal, r);
	int err;

	if (i == TABLE_NONE) {
		i = r->n_lines;
		err = grow(&r->lines, &r->allocated_lines, i, sizeof(*r->lines));
		if (err)
			return err;
		key.names = keep_run(r, names, n);
		if (!key.names)
			return -ENOMEM;
		err = table_insert(&r->line_index, hash, i);
		if (err)
			return err;
		r->lines[i] = key;
		r->n_lines++;
	}
	r->lines[i].weight += w->weight;
	r->lines[i].samples += w->samples;
	return 0;
}

static void add_stack(void *ctx, const uint32_t *frames, size_t n, const struct fold_weight *w)
{
	struct render *r = ctx;
	uint32_t *names = r->names_of_line;
	size_t count = 0;

	for (size_t i = 0; i < n && !r->error; i++) {
		r->error = frame_name(r, frames[i], &names[count++]);
		count += put_inlines(r, frames[i], names + count);
	}
	if (r->error)
		return;
	count_naming(r, frames, n, w->weight);
	r->error = add_line(r, names, cut(r, names, count), w);
}

struct line *render_lines(struct render *r, size_t *ret_count)
{
	*ret_count = r->n_lines;
	return r->lines;
}

const char *render_name(const struct render *r, uint32_t name, size_t *ret_len)
{
	*ret_len = r->names[name].len;
	return r->text.data + r->names[name].start;
}

struct export_names render_naming(const struct render *r)
{
	return r->naming;
}

/* What only the making of the lines needs. */
static void release_scratch(struct render *r)
{
	free(r->of_frame);
	free(r->unnamed);
	free(r->inlines);
	free(r->inlined);
	free(r->names_of_line);
	r->of_frame = NULL;
	r->unnamed = NULL;
	r->inlines = NULL;
	r->inlined = NULL;
	r->names_of_line = NULL;
	table_release(&r->name_index);
	table_release(&r->line_index);
	buf_release(&r->raw);
	buf_release(&r->escaped);
}

int render_new(const struct fold *f, enum fold_value value, struct names *names,
	       struct render **ret)
{
	_cleanup_(render_free) struct render *r = calloc(1, sizeof(*r));
	size_t n = fold_frames(f);
	int err;

	if (!r)
		return -ENOMEM;
	buf_init(&r->text, EXPORT_BYTES_MAX);
	buf_init(&r->raw, RAW_NAME_MAX);
	buf_init(&r->escaped, 2 * ESCAPE_NAME_MAX);
	r->fold = f;
	r->source = names;
	r->of_frame = malloc(n * sizeof(*r->of_frame) + 1);
	r->unnamed = calloc(n / 8 + 1, 1);
	r->names_of_line = malloc(LINE_NAMES * sizeof(*r->names_of_line));
	if (!r->of_frame || !r->unnamed || !r->names_of_line)
		return -ENOMEM;
	memset(r->of_frame, 0xff, n * sizeof(*r->of_frame));
	err = buf_adds(&r->escaped, CUT_MARKER);
	if (!err)
		err = intern(r, &r->cut_marker);
	if (!err && names_has_inlines(names))
		err = prepare_inlines(r);
	if (err)
		return err;
	fold_each(f, value, add_stack, r);
	if (r->error)
		return r->error;
	release_scratch(r);
	*ret = TAKE_PTR(r);
	return 0;
}

struct render *render_free(struct render *r)
{
	if (!r)
		return NULL;
	release_scratch(r);
	buf_release(&r->text);
	free(r->names);
	free(r->lines);
	for (size_t i = 0; i < r->n_runs; i++)
		free(r->runs[i]);
	free(r->runs);
	free(r);
	return NULL;
}
