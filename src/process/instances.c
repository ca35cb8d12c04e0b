/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include "instances.h"

#define MAPPINGS_TOTAL_MAX (512 << 10) /* of all processes: 20 MiB */
#define MAPPINGS_FAIR      256 /* of one process, when more than half of the total is in use */

static uint32_t hash_pid(pid_t pid)
{
	return table_hash(&pid, sizeof(pid));
}

static uint32_t hash_serial(uint32_t serial)
{
	return table_hash(&serial, sizeof(serial));
}

static bool equal_pid(const void *owner, uint32_t slot, const void *key)
{
	return ((const struct processes *)owner)->slots[slot]->pub.pid == *(const pid_t *)key;
}

static bool equal_serial(const void *owner, uint32_t slot, const void *key)
{
	return ((const struct processes *)owner)->slots[slot]->pub.serial == *(const uint32_t *)key;
}

struct instance *instances_newest(const struct processes *p, pid_t pid)
{
	uint32_t slot = table_find(&p->by_pid, hash_pid(pid), &pid, equal_pid, p);

	return slot == TABLE_NONE ? NULL : p->slots[slot];
}

struct instance *instances_by_serial(const struct processes *p, uint32_t serial)
{
	uint32_t slot = table_find(&p->by_serial, hash_serial(serial), &serial, equal_serial, p);

	return slot == TABLE_NONE ? NULL : p->slots[slot];
}

static void list_add(struct instance_list *l, struct instance *i)
{
	i->previous = l->last;
	i->next = NULL;
	if (l->last)
		l->last->next = i;
	else
		l->first = i;
	l->last = i;
}

static void list_remove(struct instance_list *l, struct instance *i)
{
	if (i->previous)
		i->previous->next = i->next;
	else
		l->first = i->next;
	if (i->next)
		i->next->previous = i->previous;
	else
		l->last = i->previous;
	i->previous = i->next = NULL;
}

/* Make the newest instance of a pid known, in the place of the one that was it. */
static int set_newest(struct processes *p, struct instance *i, struct instance *was)
{
	uint32_t hash = hash_pid(i->pub.pid);
	int err = table_insert(&p->by_pid, hash, i->slot);

	if (!err && was)
		table_remove(&p->by_pid, hash, was->slot);
	return err;
}

static bool make_room(struct processes *p)
{
	if (p->count < PROCESSES_MAX)
		return true;
	if (p->exited.first)
		instances_forget(p, p->exited.first);
	else if (p->kept.first)
		instances_forget(p, p->kept.first);
	else
		return false;
	return true;
}

static struct instance *refuse(struct processes *p, struct instance *i)
{
	if (i && i->slot != TABLE_NONE) {
		p->slots[i->slot] = NULL;
		p->free_slots[p->n_free++] = i->slot;
	}
	free(i);
	p->refused++;
	return NULL;
}

struct instance *instances_add(struct processes *p, pid_t pid, bool as_older)
{
	struct instance *i, *newest;

	if (!make_room(p))
		return refuse(p, NULL);
	newest = instances_newest(p, pid);
	i = calloc(1, sizeof(*i));
	if (!i)
		return refuse(p, NULL);
	i->slot = p->n_free ? p->free_slots[--p->n_free] : p->n_slots++;
	p->slots[i->slot] = i;
	i->owner = p;
	i->pub.pid = pid;
	i->pub.serial = ++p->last_serial;
	i->pub.rootfd = i->map_fd = -1;
	i->pub.dirty = true;
	i->threads = THREADS_UNKNOWN;
	if (table_insert(&p->by_serial, hash_serial(i->pub.serial), i->slot))
		return refuse(p, i);
	if (newest && as_older) {
		i->older = newest->older;
		newest->older = i;
	} else {
		if (set_newest(p, i, newest)) {
			table_remove(&p->by_serial, hash_serial(i->pub.serial), i->slot);
			return refuse(p, i);
		}
		i->older = newest;
	}
	p->count++;
	return i;
}

void instances_set_leader_gone(struct processes *p, struct instance *i, bool gone)
{
	if (i->pub.exited || i->leader_gone == gone)
		return;
	i->leader_gone = gone;
	p->n_leaving += gone ? 1 : -1UL;
}

void instances_retire(struct processes *p, struct instance *i, uint64_t ns)
{
	if (i->pub.exited)
		return;
	instances_set_leader_gone(p, i, false);
	i->pub.exited = true;
	i->pub.dirty = true;
	i->exited_ns = ns;
	list_add(&p->exited, i);
}

static void unlink_from_pid(struct processes *p, struct instance *i)
{
	struct instance *j = instances_newest(p, i->pub.pid);
	uint32_t hash = hash_pid(i->pub.pid);

	if (j == i) {
		/* Without memory the older ones are not found any more; they have exited. */
		if (i->older && table_insert(&p->by_pid, hash, i->older->slot))
			p->refused++;
		table_remove(&p->by_pid, hash, i->slot);
		return;
	}
	while (j && j->older != i)
		j = j->older;
	if (j)
		j->older = i->older;
}

void instances_forget(struct processes *p, struct instance *i)
{
	if (p->forget)
		p->forget(p->forget_ctx, &i->pub);
	instances_set_leader_gone(p, i, false);
	if (i->in_kept_list) {
		list_remove(&p->kept, i);
		p->n_kept--;
		p->kept_forgotten++;
	} else if (i->pub.exited) {
		list_remove(&p->exited, i);
		p->kept_forgotten += i->kept;
	}
	unlink_from_pid(p, i);
	table_remove(&p->by_serial, hash_serial(i->pub.serial), i->slot);
	objects_root_unuse(p->objects, i->pub.rootfd);
	if (i->map_fd >= 0) {
		(void)close(i->map_fd);
		p->n_map_fds--;
	}
	p->n_mappings -= i->space.count;
	space_release(&i->space);
	p->slots[i->slot] = NULL;
	p->free_slots[p->n_free++] = i->slot;
	p->count--;
	free(i);
}

void instances_sweep(struct processes *p, uint64_t ns)
{
	struct instance *i;

	while ((i = p->exited.first) && i->exited_ns + PROCESSES_LINGER_NS <= ns) {
		if (!i->kept) {
			instances_forget(p, i);
			continue;
		}
		list_remove(&p->exited, i);
		list_add(&p->kept, i);
		i->in_kept_list = true;
		p->n_kept++;
		if (p->n_kept > PROCESSES_KEPT_MAX)
			instances_forget(p, p->kept.first);
	}
}

size_t instances_mappings_limit(const struct processes *p)
{
	if (p->n_mappings >= MAPPINGS_TOTAL_MAX)
		return 0;
	return p->n_mappings < MAPPINGS_TOTAL_MAX / 2 ? PROCESS_MAPPINGS_MAX : MAPPINGS_FAIR;
}

void instances_mapped(struct processes *p, struct instance *i, size_t before)
{
	p->n_mappings += i->space.count;
	p->n_mappings -= before;
	i->pub.mappings = i->space.mappings;
	i->pub.n_mappings = i->space.count;
}
