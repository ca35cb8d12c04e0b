/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "base/log.h"
#include "base/table.h"
#include "debugfile.h"
#include "inlined.h"

#define INLINED_TEXT_MAX  (64 << 20) /* bytes of names kept; beyond it they are asked for again */
#define INLINED_SPOTS_MAX 4000000    /* as many as there are frames */

/* Where somebody has looked. */
struct spot {
	uint64_t vaddr;
	uint32_t object;
	uint32_t n; /* names */
	size_t text, len;
};

struct spot_key {
	uint64_t vaddr;
	uint32_t object;
	uint32_t zero; /* hashed, too */
};

struct inlined {
	const struct objects *objects;
	struct symd *symd;
	uint32_t object; /* whose file is open */
	int fd;          /* or -1 */
	bool is_own;     /* not the debug file: that has not been looked for */
	struct spot *spots;
	uint32_t n_spots, allocated;
	struct table index;
	struct buf text;
};

int inlined_new(const struct objects *objects, struct inlined **ret)
{
	struct inlined *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->objects = objects;
	l->symd = objects_symd(objects);
	l->object = TABLE_NONE;
	l->fd = -1;
	buf_init(&l->text, INLINED_TEXT_MAX);
	*ret = l;
	return 0;
}

struct inlined *inlined_free(struct inlined *l)
{
	if (!l)
		return NULL;
	if (l->fd >= 0)
		(void)close(l->fd);
	free(l->spots);
	table_release(&l->index);
	buf_release(&l->text);
	free(l);
	return NULL;
}

static bool equal_spot(const void *owner, uint32_t i, const void *key)
{
	const struct spot *s = &((const struct inlined *)owner)->spots[i];
	const struct spot_key *k = key;

	return s->vaddr == k->vaddr && s->object == k->object;
}

int inlined_kept(const struct inlined *l, uint32_t object, uint64_t vaddr, struct buf *out)
{
	const struct spot_key key = { .vaddr = vaddr, .object = object };
	uint32_t i = table_find(&l->index, table_hash(&key, sizeof(key)), &key, equal_spot, l);
	const struct spot *s;

	if (i == TABLE_NONE)
		return -ENOENT;
	s = &l->spots[i];
	if (s->n && buf_add(out, l->text.data + s->text, s->len))
		return 0;
	return (int)s->n;
}

/* Failing to keep it costs another question, no more. */
static void keep(struct inlined *l, uint64_t vaddr, size_t n, const char *text, size_t len)
{
	const struct spot_key key = { .vaddr = vaddr, .object = l->object };
	size_t at = l->text.len;

	if (l->n_spots == INLINED_SPOTS_MAX)
		return;
	if (l->n_spots == l->allocated) {
		uint32_t want = l->allocated ? l->allocated * 2 : 256;
		struct spot *spots = realloc(l->spots, want * sizeof(*spots));

		if (!spots)
			return;
		l->spots = spots;
		l->allocated = want;
	}
	if ((len && buf_add(&l->text, text, len)) ||
	    table_insert(&l->index, table_hash(&key, sizeof(key)), l->n_spots))
		return;
	l->spots[l->n_spots++] = (struct spot){ vaddr, l->object, (uint32_t)n, at, len };
}

static void close_file(struct inlined *l)
{
	if (l->fd >= 0)
		(void)close(l->fd);
	l->fd = -1;
}

bool inlined_is_open(const struct inlined *l, uint32_t object)
{
	return l->object == object;
}

void inlined_open(struct inlined *l, uint32_t object, int fd)
{
	close_file(l);
	l->object = object;
	l->fd = fd;
	l->is_own = true;
}

/* Ask the file; where it has no DWARF of its own, its debug file from then on. */
static int ask(struct inlined *l, const struct object_info *info, uint64_t vaddr, struct buf *out)
{
	const struct object_file *f = objects_get(l->objects, l->object);
	_cleanup_free_ struct object_info *debug = NULL;
	int n = symd_inlines(l->symd, l->fd, vaddr, out);

	if (n != -ENODATA || !l->is_own || !f)
		return n;
	debug = malloc(sizeof(*debug));
	if (!debug)
		return -ENOMEM;
	close_file(l);
	l->is_own = false;
	l->fd = debugfile_open(l->symd, f, info, objects_refused_files(l->objects), debug);
	return l->fd < 0 ? -ENODATA : symd_inlines(l->symd, l->fd, vaddr, out);
}

/* What ends the questions on a file is told once, but that it has nothing is no news. */
static void give_up(struct inlined *l, int err)
{
	const struct object_file *f = objects_get(l->objects, l->object);
	_cleanup_buf_ struct buf path;

	close_file(l);
	buf_init(&path, SYMD_REFUSAL_PATH_MAX);
	for (const char *p = f ? f->path : ""; *p; p++)
		(void)buf_addc(&path, *p > ' ' && *p < 0x7f ? *p : '?');
	if (err == -EFBIG)
		log_warning("no inlined functions of %s: its debug information is in a file of "
			    "more than %d MiB",
			    path.data ? path.data : "a file", SYMD_INLINES_FILE_MAX >> 20);
	else if (err == -ENOMEM || err == -E2BIG)
		log_warning("no inlined functions of %s: its debug information takes more memory "
			    "than the parser may have",
			    path.data ? path.data : "a file");
}

size_t inlined_find(struct inlined *l, const struct object_info *info, uint64_t vaddr,
		    struct buf *out)
{
	size_t at = out->len;
	int n;

	if (l->fd < 0)
		return 0;
	n = ask(l, info, vaddr, out);
	if (n < 0 && n != -ENOENT && n != -EAGAIN)
		give_up(l, n);
	if (n < 0)
		buf_truncate(out, at);
	if (n >= 0 || n == -ENOENT)
		keep(l, vaddr, n < 0 ? 0 : (size_t)n, out->data + at, out->len - at);
	return n < 0 ? 0 : (size_t)n;
}

size_t inlined_bytes(const struct inlined *l)
{
	return l->text.allocated + l->allocated * sizeof(*l->spots);
}
