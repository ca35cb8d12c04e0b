/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <bpf/bpf.h>
#include "base/table.h"
#include "tables.h"

struct unwind_tables {
	struct foldd_tables *shared;
	int chunks_fd, inodes_fd;
	struct foldd_chunk *chunks[FOLDD_MAX_CHUNKS]; /* mapped; NULL: not made yet */
	uint32_t n_chunks;
	uint32_t chunk;	   /* being filled */
	uint32_t rows_used; /* of it */
	uint32_t n_rules, n_pages;
	struct table by_rule;
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
	t->shared = shared;
	t->chunks_fd = chunks_fd;
	t->inodes_fd = inodes_fd;
	*ret = t;
	return 0;
}

struct unwind_tables *unwind_tables_free(struct unwind_tables *t)
{
	if (!t)
		return NULL;
	for (uint32_t i = 0; i < t->n_chunks; i++)
		(void)munmap(t->chunks[i], sizeof(*t->chunks[i]));
	table_release(&t->by_rule);
	free(t);
	return NULL;
}

/* One chunk, mapped for writing; its descriptor goes to *ret_fd and may be closed after use. */
static int make_chunk(struct foldd_chunk **ret, int *ret_fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	struct foldd_chunk *chunk;
	int fd, err;

	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "foldd_rows", sizeof(uint32_t), sizeof(*chunk), 1,
			    &opts);
	if (fd < 0)
		return -errno;
	chunk = mmap(NULL, sizeof(*chunk), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (chunk == MAP_FAILED) {
		err = -errno;
		(void)close(fd);
		return err;
	}
	*ret = chunk;
	*ret_fd = fd;
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

	while (n < TABLES_CHUNK_BATCH && t->n_chunks + n < FOLDD_MAX_CHUNKS && !err) {
		err = make_chunk(&t->chunks[t->n_chunks + n], &fds[n]);
		if (!err)
			n++;
	}
	if (!n)
		return err ? err : -ENOSPC;
	err = enter_chunks(t, fds, n);
	for (uint32_t i = 0; i < n; i++) {
		(void)close(fds[i]);
		if (err)
			(void)munmap(t->chunks[t->n_chunks + i], sizeof(struct foldd_chunk));
	}
	if (!err)
		t->n_chunks += n;
	return err;
}

/* Room for n rows in one chunk: where it is, as a page has it. */
static int reserve_rows(struct unwind_tables *t, uint32_t n, uint32_t *ret_row)
{
	int err;

	if (t->n_chunks && t->rows_used + n > FOLDD_CHUNK_ROWS) {
		t->chunk++;
		t->rows_used = 0;
	}
	if (t->chunk >= t->n_chunks) {
		err = add_chunks(t);
		if (err)
			return err;
	}
	*ret_row = t->chunk * FOLDD_CHUNK_ROWS + t->rows_used;
	t->rows_used += n;
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
static int write_page(struct unwind_tables *t, const struct cfi_table *table, uint32_t i,
		      const uint16_t *numbers, struct foldd_page *ret)
{
	const struct cfi_page *page = &table->pages[i];
	const uint32_t *from = table->rows + page->first;
	uint32_t *to, row;
	int err;

	*ret = (struct foldd_page){ 0 };
	if (!page->n)
		return 0;
	if (page->n > CFI_PAGE_ROWS_MAX || page->first > table->n_rows ||
	    page->n > table->n_rows - page->first)
		return -EBADMSG;
	err = reserve_rows(t, page->n, &row);
	if (err)
		return err;
	to = t->chunks[row / FOLDD_CHUNK_ROWS]->rows + row % FOLDD_CHUNK_ROWS;
	for (uint32_t r = 0; r < page->n; r++) {
		uint32_t rule = from[r] & 0xffff;

		if (rule >= table->n_rules)
			return -EBADMSG;
		to[r] = (from[r] & 0xffff0000) | numbers[rule];
	}
	*ret = (struct foldd_page){ .row = row,
				    .n = (uint16_t)page->n,
				    .step = largest_power_below(page->n) };
	t->stats.rows += page->n;
	return 0;
}

int unwind_tables_add(struct unwind_tables *t, uint32_t object, const struct cfi_table *table)
{
	_cleanup_free_ uint16_t *numbers = NULL;
	struct foldd_object *o;
	int err = 0;

	if (object >= FOLDD_MAX_OBJECTS || table->n_pages > FOLDD_MAX_PAGES - t->n_pages) {
		t->stats.refused++;
		return -ENOSPC;
	}
	if (!table->n_pages)
		return 0;
	numbers = calloc(table->n_rules ? table->n_rules : 1, sizeof(*numbers));
	if (!numbers)
		return -ENOMEM;
	err = number_rules(t, table, numbers);
	for (uint32_t i = 0; i < table->n_pages && !err; i++)
		err = write_page(t, table, i, numbers, &t->shared->pages[t->n_pages + i]);
	if (err) {
		t->stats.refused++;
		return err;
	}
	o = &t->shared->objects[object];
	o->first_page = t->n_pages;
	o->low = table->first_page;
	/* a walk on another CPU must see all of the above when it sees the count */
	__atomic_store_n(&o->n, table->n_pages, __ATOMIC_RELEASE);
	t->n_pages += table->n_pages;
	t->stats.objects++;
	return 0;
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
	ret->pages = t->n_pages;
	ret->bytes = (uint64_t)t->n_chunks * sizeof(struct foldd_chunk);
}
