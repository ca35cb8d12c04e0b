/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <bpf/bpf.h>
#include "base/table.h"
#include "extents.h"
#include "tables.h"

/* Rows of one object in one chunk. */
struct rows_at {
	uint32_t chunk, first;
	struct rows_at *next;
};

struct object_rows {
	struct rows_at *rows; /* NULL: no table */
	uint32_t first_page;
	uint64_t touched_ns;
	uint32_t n_rows;
};

struct chunk {
	struct foldd_chunk *memory; /* mapped */
	struct extents *space;
};

struct unwind_tables {
	struct foldd_tables *shared;
	int chunks_fd, inodes_fd;
	struct chunk chunks[TABLES_CHUNKS_MAX];
	uint32_t n_chunks;
	struct extents *pages;
	uint32_t n_rules;
	struct table by_rule;
	struct object_rows objects[FOLDD_MAX_OBJECTS];
	struct unwind_tables_stats stats;
};

static bool equal_rule(const void *owner, uint32_t value, const void *key)
{
	const struct unwind_tables *t = owner;

	return !memcmp(&t->shared->rules[value], key, sizeof(struct cfi_rule));
}

int unwind_tables_new(struct foldd_tables *shared, int chunks_fd, int inodes_fd,
		      struct unwind_tables **ret)
{
	struct unwind_tables *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	if (extents_new(FOLDD_MAX_PAGES, &t->pages)) {
		free(t);
		return -ENOMEM;
	}
	t->shared = shared;
	t->chunks_fd = chunks_fd;
	t->inodes_fd = inodes_fd;
	*ret = t;
	return 0;
}

static void free_rows(struct unwind_tables *t, struct object_rows *o, uint64_t now)
{
	struct rows_at *r, *next;

	for (r = o->rows; r; r = next) {
		next = r->next;
		extents_give(t->chunks[r->chunk].space, r->first, now);
		free(r);
	}
	t->stats.rows -= o->n_rows;
	o->rows = NULL;
	o->n_rows = 0;
}

struct unwind_tables *unwind_tables_free(struct unwind_tables *t)
{
	if (!t)
		return NULL;
	for (uint32_t i = 0; i < FOLDD_MAX_OBJECTS; i++)
		free_rows(t, &t->objects[i], 0);
	for (uint32_t i = 0; i < t->n_chunks; i++) {
		(void)munmap(t->chunks[i].memory, sizeof(struct foldd_chunk));
		extents_free(t->chunks[i].space);
	}
	extents_free(t->pages);
	table_release(&t->by_rule);
	free(t);
	return NULL;
}

/* One chunk; its descriptor goes to *ret_fd and may be closed once it is entered. */
static int make_chunk(struct chunk *ret, int *ret_fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	_cleanup_close_ int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "foldd_rows", sizeof(uint32_t),
						sizeof(struct foldd_chunk), 1, &opts);
	struct chunk c;

	if (fd < 0)
		return -errno;
	if (extents_new(FOLDD_CHUNK_ROWS, &c.space))
		return -ENOMEM;
	c.memory = mmap(NULL, sizeof(*c.memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (c.memory == MAP_FAILED) {
		extents_free(c.space);
		return -errno;
	}
	*ret = c;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Enter made chunks into the outer map: in one batch where the kernel can, else one by one. */
static int enter_chunks(const struct unwind_tables *t, const int *fds, uint32_t n)
{
	uint32_t keys[TABLES_CHUNK_BATCH], count = n;

	for (uint32_t i = 0; i < n; i++)
		keys[i] = t->n_chunks + i;
	if (!bpf_map_update_batch(t->chunks_fd, keys, fds, &count, NULL))
		return 0;
	for (uint32_t i = 0; i < n; i++)
		if (bpf_map_update_elem(t->chunks_fd, &keys[i], &fds[i], BPF_ANY))
			return -errno;
	return 0;
}

static int add_chunks(struct unwind_tables *t)
{
	int fds[TABLES_CHUNK_BATCH], err = 0;
	uint32_t n = 0;

	while (n < TABLES_CHUNK_BATCH && t->n_chunks + n < TABLES_CHUNKS_MAX && !err) {
		err = make_chunk(&t->chunks[t->n_chunks + n], &fds[n]);
		if (!err)
			n++;
	}
	if (!n)
		return err ? err : -ENOSPC;
	err = enter_chunks(t, fds, n);
	for (uint32_t i = 0; i < n; i++) {
		(void)close(fds[i]);
		if (!err)
			continue;
		(void)munmap(t->chunks[t->n_chunks + i].memory, sizeof(struct foldd_chunk));
		extents_free(t->chunks[t->n_chunks + i].space);
	}
	if (!err)
		t->n_chunks += n;
	return err;
}

/* Room for n rows in one chunk. */
static int take_rows(struct unwind_tables *t, struct object_rows *o, uint32_t n, uint64_t now,
		     struct rows_at **ret)
{
	struct rows_at *r = malloc(sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->first = EXTENTS_NONE;
	/* the newest chunk first: the older ones are mostly full */
	for (uint32_t i = t->n_chunks; i-- && r->first == EXTENTS_NONE;) {
		r->first = extents_take(t->chunks[i].space, n, now);
		r->chunk = i;
	}
	if (r->first == EXTENTS_NONE) {
		r->chunk = t->n_chunks;
		err = add_chunks(t);
		if (err) {
			free(r);
			return err;
		}
		r->first = extents_take(t->chunks[r->chunk].space, n, now);
		if (r->first ==
		    EXTENTS_NONE) { /* out of memory: a new chunk has room for any page */
			free(r);
			return -ENOMEM;
		}
	}
	r->next = o->rows;
	o->rows = r;
	o->n_rows += n;
	t->stats.rows += n;
	*ret = r;
	return 0;
}

/* The number of a rule in the shared table. */
static int rule_number(struct unwind_tables *t, const struct cfi_rule *rule, uint16_t *ret)
{
	uint32_t hash = table_hash(rule, sizeof(*rule));
	uint32_t i = table_find(&t->by_rule, hash, rule, equal_rule, t);
	int err;

	if (i == TABLE_NONE) {
		if (t->n_rules == FOLDD_MAX_RULES)
			return -ENOSPC;
		err = table_insert(&t->by_rule, hash, t->n_rules);
		if (err)
			return err;
		i = t->n_rules++;
		t->shared->rules[i] = *rule;
	}
	*ret = (uint16_t)i;
	return 0;
}

static int number_rules(struct unwind_tables *t, const struct cfi_table *table, uint16_t *numbers)
{
	int err = 0;

	for (uint32_t i = 0; i < table->n_rules && !err; i++)
		err = rule_number(t, &table->rules[i], &numbers[i]);
	return err;
}

static uint16_t largest_power_below(uint32_t n)
{
	uint32_t step = 1;

	while (step * 2 < n)
		step *= 2;
	return (uint16_t)step;
}

/* Copy a page's rows with the shared numbers of their rules. */
static int write_page(struct unwind_tables *t, struct object_rows *o, const struct cfi_table *table,
		      uint32_t i, const uint16_t *numbers, uint64_t now, struct foldd_page *ret)
{
	const struct cfi_page *page = &table->pages[i];
	const uint32_t *from = table->rows + page->first;
	struct rows_at *at;
	uint32_t *to;
	int err;

	*ret = (struct foldd_page){ 0 };
	if (!page->n)
		return 0;
	if (page->n > CFI_PAGE_ROWS_MAX || page->first > table->n_rows ||
	    page->n > table->n_rows - page->first)
		return -EBADMSG;
	err = take_rows(t, o, page->n, now, &at);
	if (err)
		return err;
	to = t->chunks[at->chunk].memory->rows + at->first;
	for (uint32_t r = 0; r < page->n; r++) {
		uint32_t rule = from[r] & 0xffff;

		if (rule >= table->n_rules)
			return -EBADMSG;
		to[r] = (from[r] & 0xffff0000) | numbers[rule];
	}
	*ret = (struct foldd_page){ .row = at->chunk * FOLDD_CHUNK_ROWS + at->first,
				    .n = (uint16_t)page->n,
				    .step = largest_power_below(page->n) };
	return 0;
}

int unwind_tables_add(struct unwind_tables *t, uint32_t object, const struct cfi_table *table,
		      uint64_t now_ns)
{
	_cleanup_free_ uint16_t *numbers = NULL;
	struct foldd_object *shared;
	struct object_rows *o;
	uint32_t first;
	int err = 0;

	if (!table->n_pages)
		return 0;
	first = object < FOLDD_MAX_OBJECTS && table->n_pages <= FOLDD_MAX_PAGES
			? extents_take(t->pages, table->n_pages, now_ns)
			: EXTENTS_NONE;
	if (first == EXTENTS_NONE) {
		t->stats.refused++;
		return -ENOSPC;
	}
	o = &t->objects[object];
	shared = &t->shared->objects[object];
	numbers = calloc(table->n_rules ? table->n_rules : 1, sizeof(*numbers));
	err = numbers ? number_rules(t, table, numbers) : -ENOMEM;
	for (uint32_t i = 0; i < table->n_pages && !err; i++)
		err = write_page(t, o, table, i, numbers, now_ns, &t->shared->pages[first + i]);
	if (err) {
		free_rows(t, o, now_ns);
		extents_give(t->pages, first, now_ns);
		t->stats.refused++;
		return err;
	}
	o->first_page = first;
	o->touched_ns = now_ns;
	shared->first_page = first;
	shared->low = table->first_page;
	/* a walk on another CPU must see all of the above when it sees the count */
	__atomic_store_n(&shared->n, table->n_pages, __ATOMIC_RELEASE);
	t->stats.objects++;
	return 0;
}

bool unwind_tables_has(const struct unwind_tables *t, uint32_t object)
{
	return object < FOLDD_MAX_OBJECTS && t->objects[object].rows;
}

void unwind_tables_touch(struct unwind_tables *t, uint32_t object, uint64_t now_ns)
{
	if (object < FOLDD_MAX_OBJECTS)
		t->objects[object].touched_ns = now_ns;
}

static bool is_short_of_room(const struct unwind_tables *t)
{
	const uint64_t limit = (uint64_t)TABLES_CHUNKS_MAX * FOLDD_CHUNK_ROWS;

	return t->stats.rows > limit / 10 * 9 || extents_used(t->pages) > FOLDD_MAX_PAGES / 10 * 9;
}

static void evict(struct unwind_tables *t, uint32_t object, uint64_t now)
{
	struct object_rows *o = &t->objects[object];

	__atomic_store_n(&t->shared->objects[object].n, 0, __ATOMIC_RELEASE);
	free_rows(t, o, now);
	extents_give(t->pages, o->first_page, now);
	t->stats.objects--;
	t->stats.evicted++;
}

void unwind_tables_evict(struct unwind_tables *t, uint64_t now_ns)
{
	while (is_short_of_room(t)) {
		uint32_t oldest = 0;

		for (uint32_t i = 1; i < FOLDD_MAX_OBJECTS; i++)
			if (t->objects[i].rows && t->objects[i].touched_ns < now_ns &&
			    (!oldest || t->objects[i].touched_ns < t->objects[oldest].touched_ns))
				oldest = i;
		if (!oldest)
			return;
		evict(t, oldest, now_ns);
	}
}

int unwind_tables_add_inode(struct unwind_tables *t, uint32_t object, uint32_t major,
			    uint32_t minor, uint64_t ino)
{
	struct foldd_inode key = { .ino = ino, .dev = major << 20 | (minor & 0xfffff) };

	return bpf_map_update_elem(t->inodes_fd, &key, &object, BPF_ANY) ? -errno : 0;
}

void unwind_tables_stats(const struct unwind_tables *t, struct unwind_tables_stats *ret)
{
	*ret = t->stats;
	ret->rules = t->n_rules;
	ret->pages = extents_used(t->pages);
	ret->bytes = (uint64_t)t->n_chunks * sizeof(struct foldd_chunk);
}
