/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "clock.h"
#include "instances.h"
#include "scan.h"

#define SWEEP_NS      250000000ULL
#define RESCAN_NS     500000000ULL  /* between two passes over /proc, however much is lost */
#define BORN_SLACK_NS 1000000000ULL /* between the start of a process and its fork event */
#define PID_LIMIT     (1 << 22)     /* of the kernel; the filter's memory has a bit for each */

int processes_new(struct objects *objects, struct processes **ret)
{
	struct processes *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->objects = objects;
	*ret = p;
	return 0;
}

struct processes *processes_free(struct processes *p)
{
	if (!p)
		return NULL;
	for (uint32_t s = 0; s < p->n_slots; s++)
		if (p->slots[s])
			instances_forget(p, p->slots[s]);
	table_release(&p->by_pid);
	table_release(&p->by_serial);
	free(p->unwanted);
	free(p);
	return NULL;
}

void processes_set_filter(struct processes *p, bool (*want)(void *ctx, pid_t pid), void *ctx)
{
	p->want = want;
	p->want_ctx = ctx;
	free(p->unwanted);
	p->unwanted = want ? calloc(PID_LIMIT / 8, 1) : NULL;
}

bool processes_wanted(struct processes *p, pid_t pid)
{
	bool known = p->unwanted && pid > 0 && pid < PID_LIMIT;

	if (!p->want)
		return true;
	if (known && p->unwanted[pid / 8] & (1 << pid % 8))
		return false;
	if (p->want(p->want_ctx, pid))
		return true;
	if (known)
		p->unwanted[pid / 8] |= (uint8_t)(1 << pid % 8);
	return false;
}

/* The pid has become another process. */
static void forget_unwanted(struct processes *p, pid_t pid)
{
	if (p->unwanted && pid > 0 && pid < PID_LIMIT)
		p->unwanted[pid / 8] &= (uint8_t) ~(1 << pid % 8);
}

/* The instance that a feed event is about; NULL where it tells nothing new or is not wanted. */
static struct instance *subject(struct processes *p, const struct feed_event *e)
{
	struct instance *i = instances_newest(p, e->pid);

	/* A pass over /proc may have told of an exit before its events have come up. */
	if (i && (!i->pub.exited || e->time_ns <= i->exited_ns))
		return i->as_of_ns >= e->time_ns ? NULL : i;
	if (!processes_wanted(p, e->pid))
		return NULL;
	/* Its fork was not seen. Whatever /proc tells now includes this event. */
	i = instances_add(p, e->pid, false);
	if (!i || !scan_fill(p, i))
		return NULL;
	return i;
}

static void apply_mmap(struct processes *p, const struct feed_event *e)
{
	struct instance *i = subject(p, e);
	struct maps_line line;
	size_t len = strlen(e->text);

	if (!i || len >= sizeof(line.path))
		return;
	line.start = e->start;
	line.end = e->end;
	line.pgoff = e->pgoff;
	line.prot = e->prot;
	line.id = e->id;
	memcpy(line.path, e->text, len + 1);
	scan_add_mapping(p, i, &line, e->time_ns);
}

static void set_comm(struct process *proc, const char *comm)
{
	(void)snprintf(proc->comm, sizeof(proc->comm), "%s", comm);
}

static void inherit_root(struct processes *p, struct instance *i, const struct instance *from)
{
	i->pub.rootfd = from->pub.rootfd;
	objects_root_use(p->objects, i->pub.rootfd);
}

/* The addresses of JIT frames seen so far mean nothing in the new program: they keep the old one.
 */
static struct instance *new_image(struct processes *p, struct instance *old, uint64_t ns)
{
	uint32_t serial = old->pub.serial;
	struct instance *i;

	(void)process_perf_map(&old->pub);
	instances_retire(p, old, ns);
	i = instances_add(p, old->pub.pid, false);
	old = instances_by_serial(p, serial);
	if (!i || !old)
		return i;
	i->pub.start_ns = old->pub.start_ns;
	i->born_ns = old->born_ns;
	i->start_ticks = old->start_ticks;
	i->has_ticks = old->has_ticks;
	i->threads = old->threads;
	i->n_objects = old->n_objects;
	inherit_root(p, i, old);
	return i;
}

static void apply_exec(struct processes *p, const struct feed_event *e)
{
	struct instance *i = subject(p, e);
	size_t before;

	if (!i)
		return;
	if (i->kept)
		i = new_image(p, i, e->time_ns);
	if (!i)
		return;
	before = i->space.count;
	if (before)
		i->pub.remapped_ns = e->time_ns;
	space_clear(&i->space);
	instances_mapped(p, i, before);
	i->pub.dirty = true;
	set_comm(&i->pub, e->text);
	instances_set_leader_gone(p, i, false);
	/* exec ends all other threads, and the one that is left takes over the leader's id. */
	if (i->threads != THREADS_UNKNOWN)
		i->threads = 1;
	/* Containers change their root between fork and exec. */
	scan_root(p, i);
}

static void apply_fork(struct processes *p, const struct feed_event *e)
{
	struct instance *i = instances_newest(p, e->pid), *parent;

	if (e->pid == e->parent) {
		if (i && !i->pub.exited && i->as_of_ns < e->time_ns &&
		    i->threads != THREADS_UNKNOWN)
			i->threads++;
		return;
	}
	if (i && !i->pub.exited) {
		if (i->as_of_ns >= e->time_ns)
			return;
		instances_retire(p, i, e->time_ns);
	}
	forget_unwanted(p, e->pid);
	parent = instances_newest(p, e->parent);
	if (!parent && !processes_wanted(p, e->pid))
		return;
	i = instances_add(p, e->pid, false);
	if (!i)
		return;
	i->born_ns = e->time_ns;
	parent = instances_newest(p, e->parent); /* it may have been forgotten to make room */
	if (!parent || parent->as_of_ns >= e->time_ns) {
		/* What is known of the parent is later than the fork. */
		if (scan_fill(p, i))
			i->threads = 1;
		return;
	}
	i->threads = 1;
	i->n_objects = parent->n_objects;
	memcpy(i->pub.comm, parent->pub.comm, sizeof(i->pub.comm));
	inherit_root(p, i, parent);
	if (space_copy(&i->space, &parent->space))
		p->mappings_refused += parent->space.count;
	instances_mapped(p, i, 0);
}

static void apply_exit(struct processes *p, const struct feed_event *e)
{
	struct instance *i = instances_newest(p, e->pid);

	if (!i || i->pub.exited || i->as_of_ns >= e->time_ns)
		return;
	if (e->tid == e->pid && !i->leader_gone) {
		instances_set_leader_gone(p, i, true);
		if (i->kept)
			(void)process_perf_map(&i->pub);
	}
	if (i->threads > 0 && !--i->threads)
		instances_retire(p, i, e->time_ns);
	else if (i->threads <= 0 && e->tid == e->pid && !scan_is_alive(i))
		instances_retire(p, i, e->time_ns);
}

static void sweep(struct processes *p, uint64_t now)
{
	if (now < p->swept_ns + SWEEP_NS)
		return;
	p->swept_ns = now;
	for (uint32_t s = 0; s < p->n_slots && p->n_leaving; s++) {
		struct instance *i = p->slots[s];

		if (i && i->leader_gone && !i->pub.exited && !scan_is_alive(i))
			instances_retire(p, i, now);
	}
	instances_sweep(p, now);
}

static void rescan(struct processes *p)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (now < p->rescanned_ns + RESCAN_NS)
		return;
	p->must_rescan = false;
	p->rescanned_ns = now;
	if (processes_scan_all(p))
		p->must_rescan = true;
}

static void apply_lost(struct processes *p, const struct feed_event *e)
{
	p->feed_lost += e->lost;
	for (uint32_t s = 0; s < p->n_slots; s++)
		if (p->slots[s])
			p->slots[s]->threads = THREADS_UNKNOWN;
	if (e->time_ns > p->rescanned_ns)
		p->must_rescan = true;
}

void processes_apply(struct processes *p, const struct feed_event *e)
{
	struct instance *i;

	if (e->type == FEED_LOST)
		apply_lost(p, e);
	if (p->must_rescan)
		rescan(p);
	sweep(p, e->time_ns);
	if (e->type == FEED_LOST || e->pid <= 0)
		return;
	switch (e->type) {
	case FEED_MMAP:
		apply_mmap(p, e);
		break;
	case FEED_COMM:
		i = e->tid == e->pid ? subject(p, e) : NULL;
		if (i)
			set_comm(&i->pub, e->text);
		break;
	case FEED_EXEC:
		apply_exec(p, e);
		break;
	case FEED_FORK:
		apply_fork(p, e);
		break;
	case FEED_EXIT:
		apply_exit(p, e);
		break;
	case FEED_LOST:
		break;
	}
}

/* How far the start time is from what is known of this instance; UINT64_MAX: it is another. */
static uint64_t start_distance(const struct instance *i, uint64_t start_ns)
{
	uint64_t start, distance;

	if (i->pub.start_ns)
		return i->pub.start_ns == start_ns ? 0 : UINT64_MAX;
	if (i->has_ticks)
		return scan_same_start(i->start_ticks, start_ns) ? 1 : UINT64_MAX;
	if (!i->born_ns)
		return BORN_SLACK_NS; /* nothing speaks against it */
	start = start_ns - (clock_ns(CLOCK_BOOTTIME) - clock_ns(CLOCK_MONOTONIC));
	distance = start > i->born_ns ? start - i->born_ns : i->born_ns - start;
	return distance <= BORN_SLACK_NS ? distance + 1 : UINT64_MAX;
}

/* The pid belongs to another process than the one that is known, or to none that is. */
static struct instance *unknown(struct processes *p, pid_t pid, uint64_t start_ns)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	struct instance *newest = instances_newest(p, pid), *i;
	bool older = newest && newest->pub.start_ns > start_ns;
	bool gone;

	if (newest && !older)
		instances_retire(p, newest, now);
	i = instances_add(p, pid, older);
	if (!i)
		return NULL;
	gone = older || scan_fill_as(p, i, start_ns);
	i->pub.start_ns = start_ns;
	if (gone)
		instances_retire(p, i, now);
	return i;
}

struct process *processes_at(struct processes *p, pid_t pid, uint64_t start_ns)
{
	struct instance *best = NULL, *i = instances_newest(p, pid);
	uint64_t best_distance = UINT64_MAX;

	if (!start_ns && i)
		return &i->pub;
	for (; i && best_distance; i = i->older) {
		uint64_t distance = start_distance(i, start_ns);

		if (distance < best_distance) {
			best = i;
			best_distance = distance;
		}
	}
	if (!best)
		best = unknown(p, pid, start_ns);
	if (!best)
		return NULL;
	best->pub.start_ns = start_ns;
	return &best->pub;
}

struct process *processes_by_serial(struct processes *p, uint32_t serial)
{
	struct instance *i = instances_by_serial(p, serial);

	return i ? &i->pub : NULL;
}

void processes_each(struct processes *p, void (*fn)(void *ctx, struct process *proc), void *ctx)
{
	/* Whoever publishes by pid must not withdraw the new owner of a pid with the old one. */
	for (int live = 0; live < 2; live++)
		for (uint32_t s = 0; s < p->n_slots; s++)
			if (p->slots[s] && p->slots[s]->pub.exited == !live)
				fn(ctx, &p->slots[s]->pub);
}

void processes_on_forget(struct processes *p, void (*fn)(void *ctx, struct process *proc),
			 void *ctx)
{
	p->forget = fn;
	p->forget_ctx = ctx;
}

const struct mapping *process_find(const struct process *proc, uint64_t address)
{
	return space_find(proc->mappings, proc->n_mappings, address);
}

size_t processes_count(const struct processes *p)
{
	return p->count;
}

uint64_t processes_refused(const struct processes *p)
{
	return p->refused;
}

uint64_t processes_mappings_refused(const struct processes *p)
{
	return p->mappings_refused;
}

uint64_t processes_kept_forgotten(const struct processes *p)
{
	return p->kept_forgotten;
}

uint64_t processes_feed_lost(const struct processes *p)
{
	return p->feed_lost;
}
