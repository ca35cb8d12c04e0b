/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include "base/table.h"
#include "extents.h"
#include "publish.h"

/* Mappings in the pool that one or more processes have. */
struct run {
	uint32_t first, count;
	uint32_t refs; /* 0: the slot is unused */
	uint32_t hash; /* of the contents */
	uint32_t next; /* unused slots: the next one */
};

#define NO_RUN UINT32_MAX

struct publisher {
	struct foldd_mapping *pool;
	int procs_fd;
	struct extents *space;
	struct run *runs;
	uint32_t n_runs, unused;
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
	if (extents_new(FOLDD_POOL_MAPPINGS, &p->space)) {
		free(p);
		return -ENOMEM;
	}
	p->pool = pool;
	p->procs_fd = procs_fd;
	p->unused = NO_RUN;
	*ret = p;
	return 0;
}

struct publisher *publisher_free(struct publisher *p)
{
	if (!p)
		return NULL;
	table_release(&p->by_contents);
	extents_free(p->space);
	free(p->runs);
	free(p);
	return NULL;
}

static uint32_t new_slot(struct publisher *p)
{
	uint32_t slot = p->unused;
	struct run *runs;

	if (slot != NO_RUN) {
		p->unused = p->runs[slot].next;
		return slot;
	}
	runs = reallocarray(p->runs, p->n_runs + 1, sizeof(*runs));
	if (!runs)
		return NO_RUN;
	p->runs = runs;
	return p->n_runs++;
}

static void release(struct publisher *p, struct process *proc, uint64_t now)
{
	uintptr_t number = (uintptr_t)proc->user;
	struct run *r;

	proc->user = NULL;
	if (!number)
		return;
	r = &p->runs[number - 1];
	if (--r->refs)
		return;
	table_remove(&p->by_contents, r->hash, (uint32_t)(number - 1));
	extents_give(p->space, r->first, now);
	r->next = p->unused;
	p->unused = (uint32_t)(number - 1);
}

/* The run with these contents, written now where there is none yet; one reference is taken. */
static uint32_t run_for(struct publisher *p, const struct contents *c, uint64_t now)
{
	uint32_t hash = table_hash(c->mappings, c->count * sizeof(*c->mappings));
	uint32_t i = table_find(&p->by_contents, hash, c, equal_contents, p), first;

	if (i != TABLE_NONE) {
		p->runs[i].refs++;
		return i;
	}
	first = extents_take(p->space, c->count, now);
	if (first == EXTENTS_NONE)
		return NO_RUN;
	i = new_slot(p);
	if (i == NO_RUN || table_insert(&p->by_contents, hash, i)) {
		extents_give(p->space, first, now);
		if (i != NO_RUN) {
			p->runs[i].next = p->unused;
			p->unused = i;
		}
		return NO_RUN;
	}
	memcpy(&p->pool[first], c->mappings, c->count * sizeof(*c->mappings));
	p->runs[i] = (struct run){ .first = first, .count = c->count, .refs = 1, .hash = hash };
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
