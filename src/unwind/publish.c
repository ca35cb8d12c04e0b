/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include "base/table.h"
#include "publish.h"

/* A run of mappings in the pool. Runs tile the pool in order; a free one has no references. */
struct run {
	uint32_t first, count; /* of entries; count is 0 for an unused slot of the array */
	uint32_t refs;
	uint32_t hash;	  /* of its contents */
	uint32_t next;	  /* the run behind it in the pool, NO_RUN: the last one */
	uint64_t free_ns; /* when the last reference went; 0: never used */
	bool indexed;	  /* by contents, in the table */
};

#define NO_RUN UINT32_MAX

struct publisher {
	struct foldd_mapping *pool;
	int procs_fd;
	struct run *runs;
	uint32_t n_runs, free_slot; /* head of the list of unused array slots, by next */
	struct table by_contents;
	uint64_t refused;
};

struct contents {
	const struct foldd_mapping *mappings;
	uint32_t count;
};

static bool equal_contents(const void *owner, uint32_t value, const void *key)
{
	const struct publisher *p = owner;
	const struct run *r = &p->runs[value];
	const struct contents *c = key;

	return r->count == c->count &&
	       !memcmp(&p->pool[r->first], c->mappings, c->count * sizeof(*c->mappings));
}

int publisher_new(struct foldd_mapping *pool, int procs_fd, struct publisher **ret)
{
	struct publisher *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->runs = calloc(1, sizeof(*p->runs));
	if (!p->runs) {
		free(p);
		return -ENOMEM;
	}
	p->pool = pool;
	p->procs_fd = procs_fd;
	p->n_runs = 1;
	p->runs[0] = (struct run){ .count = FOLDD_POOL_MAPPINGS, .next = NO_RUN };
	p->free_slot = NO_RUN;
	*ret = p;
	return 0;
}

struct publisher *publisher_free(struct publisher *p)
{
	if (!p)
		return NULL;
	table_release(&p->by_contents);
	free(p->runs);
	free(p);
	return NULL;
}

static bool is_free(const struct run *r, uint64_t now)
{
	return !r->refs && (!r->free_ns || now - r->free_ns >= PUBLISH_GRACE_NS);
}

static uint32_t new_slot(struct publisher *p)
{
	uint32_t slot = p->free_slot;
	struct run *runs;

	if (slot != NO_RUN) {
		p->free_slot = p->runs[slot].next;
		return slot;
	}
	runs = reallocarray(p->runs, p->n_runs + 1, sizeof(*runs));
	if (!runs)
		return NO_RUN;
	p->runs = runs;
	return p->n_runs++;
}

static void unindex(struct publisher *p, uint32_t i)
{
	if (p->runs[i].indexed)
		table_remove(&p->by_contents, p->runs[i].hash, i);
	p->runs[i].indexed = false;
}

/* Join free neighbours behind run i, so that large runs can be had again. */
static void merge_free(struct publisher *p, uint32_t i, uint64_t now)
{
	struct run *r = &p->runs[i], *behind;
	uint32_t next;

	while ((next = r->next) != NO_RUN && is_free(&p->runs[next], now)) {
		behind = &p->runs[next];
		unindex(p, next);
		r->count += behind->count;
		r->next = behind->next;
		behind->count = 0;
		behind->next = p->free_slot;
		p->free_slot = next;
	}
}

/* First fit over the runs in the order of the pool. */
static uint32_t allocate(struct publisher *p, uint32_t count, uint64_t now)
{
	for (uint32_t i = 0; i != NO_RUN; i = p->runs[i].next) {
		uint32_t rest;

		if (!is_free(&p->runs[i], now))
			continue;
		unindex(p, i);
		merge_free(p, i, now);
		if (p->runs[i].count < count)
			continue;
		if (p->runs[i].count > count) {
			rest = new_slot(p); /* may move the array */
			if (rest == NO_RUN)
				return NO_RUN;
			p->runs[rest] = (struct run){ .first = p->runs[i].first + count,
						      .count = p->runs[i].count - count,
						      .next = p->runs[i].next };
			p->runs[i].count = count;
			p->runs[i].next = rest;
		}
		return i;
	}
	return NO_RUN;
}

static void release(struct publisher *p, struct process *proc, uint64_t now)
{
	uintptr_t i = (uintptr_t)proc->user;

	proc->user = NULL;
	if (i && !--p->runs[i - 1].refs)
		p->runs[i - 1].free_ns = now ? now : 1;
}

/* The run with these contents, written now where there is none yet; one reference is taken. */
static uint32_t run_for(struct publisher *p, const struct contents *c, uint64_t now)
{
	uint32_t hash = table_hash(c->mappings, c->count * sizeof(*c->mappings));
	uint32_t i = table_find(&p->by_contents, hash, c, equal_contents, p);

	if (i == TABLE_NONE) {
		i = allocate(p, c->count, now);
		if (i == NO_RUN)
			return NO_RUN;
		memcpy(&p->pool[p->runs[i].first], c->mappings, c->count * sizeof(*c->mappings));
		p->runs[i].hash = hash;
		/* without the index the run is merely not shared */
		p->runs[i].indexed = !table_insert(&p->by_contents, hash, i);
	}
	p->runs[i].refs++;
	return i;
}

int publisher_update(struct publisher *p, struct process *proc, uint64_t as_of_ns, uint64_t now_ns)
{
	struct foldd_mapping mappings[FOLDD_PROC_MAPPINGS];
	struct contents c = { mappings, 0 };
	struct foldd_proc entry = { .as_of_ns = as_of_ns };
	uint32_t key = (uint32_t)proc->pid, i;

	proc->dirty = false;
	for (size_t m = 0; m < proc->n_mappings && c.count < FOLDD_PROC_MAPPINGS; m++)
		mappings[c.count++] = (struct foldd_mapping){
			.start = proc->mappings[m].start,
			.end = proc->mappings[m].end,
			.bias = proc->mappings[m].bias,
			.object = proc->mappings[m].object,
		};
	if (!c.count || proc->exited) {
		publisher_drop(p, proc, now_ns);
		return 0;
	}
	i = run_for(p, &c, now_ns);
	if (i == NO_RUN) {
		p->refused++;
		publisher_drop(p, proc, now_ns);
		return -ENOSPC;
	}
	entry.first = p->runs[i].first;
	entry.count = c.count;
	release(p, proc, now_ns);
	proc->user = (void *)((uintptr_t)i + 1);
	if (bpf_map_update_elem(p->procs_fd, &key, &entry, BPF_ANY)) {
		p->refused++;
		return -errno;
	}
	return 0;
}

void publisher_drop(struct publisher *p, struct process *proc, uint64_t now_ns)
{
	uint32_t key = (uint32_t)proc->pid;

	if (!proc->user)
		return;
	(void)bpf_map_delete_elem(p->procs_fd, &key);
	release(p, proc, now_ns);
}

uint64_t publisher_refused(const struct publisher *p)
{
	return p->refused;
}
