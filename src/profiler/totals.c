/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "totals.h"

struct process_key {
	uint64_t start_ns;
	uint64_t pid;
};

static bool equal_process(const void *owner, uint32_t value, const void *key)
{
	const struct totals *t = owner;
	const struct process_key *k = key;

	return t->processes[value].pid == k->pid && t->starts[value] == k->start_ns;
}

void totals_release(struct totals *t)
{
	table_release(&t->by_process);
	free(t->processes);
	free(t->threads);
	free(t->starts);
	*t = (struct totals){ 0 };
}

static int reserve(struct summary_process **array, size_t n, size_t *space)
{
	size_t want = *space ? *space * 2 : 64;
	struct summary_process *bigger;

	if (n < *space)
		return 0;
	if (n >= TOTALS_MAX)
		return -ENOSPC;
	bigger = reallocarray(*array, want, sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	*array = bigger;
	*space = want;
	return 0;
}

/* Number of the process's entry, or -errno. */
static int64_t process_of(struct totals *t, uint32_t pid, uint64_t start_ns)
{
	struct process_key key = { start_ns, pid };
	uint32_t hash = table_hash(&key, sizeof(key));
	uint32_t i = table_find(&t->by_process, hash, &key, equal_process, t);
	uint64_t *starts;
	int err;

	if (i != TABLE_NONE)
		return i;
	err = reserve(&t->processes, t->n_processes, &t->space_processes);
	if (err)
		return err;
	starts = reallocarray(t->starts, t->space_processes, sizeof(*starts));
	if (!starts)
		return -ENOMEM;
	t->starts = starts;
	i = (uint32_t)t->n_processes;
	err = table_insert(&t->by_process, hash, i);
	if (err)
		return err;
	t->processes[i] = (struct summary_process){ .pid = pid };
	t->starts[i] = start_ns;
	t->n_processes++;
	return i;
}

/* Past TOTALS_LISTED: the process's own entry if it has one, else the sum of those of its name. */
static int64_t listed_or_sum(struct totals *t, const struct foldd_exited_key *k, const char *comm)
{
	struct process_key key = { k->start_ns, k->tgid };
	uint32_t hash = table_hash(&key, sizeof(key));
	uint32_t i = table_find(&t->by_process, hash, &key, equal_process, t);

	if (i != TABLE_NONE)
		return i;
	return process_of(t, 0, table_hash(comm, strnlen(comm, FOLDD_COMM_LEN)) + 1ULL);
}

int totals_add_thread(struct totals *t, const struct foldd_thread_total *total, bool threads)
{
	struct summary_process *p;
	int64_t i;
	int err = 0;

	for (size_t r = 0; r < FOLDD_REASON_MAX; r++)
		t->ns[r] += total->ns[r];
	i = process_of(t, total->tgid, total->start_ns);
	if (i < 0)
		return (int)i;
	p = &t->processes[i];
	memcpy(p->comm, total->comm, sizeof(p->comm));
	for (size_t r = 0; r < FOLDD_REASON_MAX; r++) {
		p->ns[r] += total->ns[r];
		p->count[r] += total->count[r];
	}
	if (!threads)
		return 0;
	err = reserve(&t->threads, t->n_threads, &t->space_threads);
	if (err)
		return err;
	p = &t->threads[t->n_threads++];
	*p = (struct summary_process){ .pid = total->tgid, .tid = total->tid };
	memcpy(p->comm, total->thread_comm, sizeof(p->comm));
	for (size_t r = 0; r < FOLDD_REASON_MAX; r++) {
		p->ns[r] = total->ns[r];
		p->count[r] = total->count[r];
	}
	return 0;
}

int totals_add_exited(struct totals *t, const struct foldd_exited_key *k,
		      const struct foldd_total *total)
{
	uint32_t reason = k->reason & (FOLDD_REASON_MAX - 1);
	struct summary_process *p;
	int64_t i;

	t->ns[reason] += total->ns;
	if (t->n_processes < TOTALS_LISTED)
		i = process_of(t, k->tgid, k->start_ns);
	else
		i = listed_or_sum(t, k, total->comm);
	if (i < 0)
		return (int)i;
	p = &t->processes[i];
	if (!p->comm[0])
		memcpy(p->comm, total->comm, sizeof(p->comm));
	p->ns[reason] += total->ns;
	p->count[reason] += total->count;
	return 0;
}
