/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include "unwinding.h"

enum table_state {
	TABLE_WANTED = 0, /* not looked at yet, or evicted and mapped again */
	TABLE_BUILT,
	TABLE_FAILED, /* no CFI, no room, or no file: frame pointers */
};

struct unwinding {
	const struct objects *objects;
	struct processes *processes;
	struct unwind_tables *tables;
	uint8_t state[OBJECTS_MAX + 1]; /* enum table_state, by object */
	uint32_t next;                  /* objects below this have been looked at */
	uint64_t now_ns;                /* of the present sweep */
};

int unwinding_new(const struct objects *objects, struct processes *processes,
		  struct unwind_tables *tables, struct unwinding **ret)
{
	struct unwinding *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->objects = objects;
	u->processes = processes;
	u->tables = tables;
	u->next = OBJECT_VDSO;
	*ret = u;
	return 0;
}

struct unwinding *unwinding_free(struct unwinding *u)
{
	free(u);
	return NULL;
}

static int build_table(struct unwinding *u, const struct object_file *file, uint32_t object,
		       uint64_t now)
{
	_cleanup_(symd_rows_free) struct symd_rows *rows = NULL;
	int err;

	if (file->fd < 0)
		return -ENOENT;
	err = symd_rows(objects_symd(u->objects), file->fd, &rows);
	return err ? err : unwind_tables_add(u->tables, object, symd_rows_table(rows), now);
}

/* So that walks of a process that has just started know its files before /proc or the feed do. */
static void publish_inode(struct unwinding *u, const struct object_file *file, uint32_t object)
{
	struct file_identity id = file->id;
	struct stat st;

	if (!id.ino && file->fd >= 0 && !fstat(file->fd, &st)) {
		id.ino = st.st_ino;
		id.major = major(st.st_dev);
		id.minor = minor(st.st_dev);
	}
	/* where there is no room, such a process is walked once its mappings are published */
	if (id.ino && unwind_tables_add_inode(u->tables, object, id.major, id.minor, id.ino))
		return;
}

static void look_at(struct unwinding *u, uint32_t object, uint64_t now)
{
	const struct object_file *file = objects_get(u->objects, object);
	int err;

	u->state[object] = TABLE_FAILED;
	if (!file)
		return;
	if (object != OBJECT_VDSO)
		publish_inode(u, file, object);
	err = build_table(u, file, object, now);
	if (!err && unwind_tables_has(u->tables, object))
		u->state[object] = TABLE_BUILT;
	if (err == -EAGAIN)
		u->state[object] = TABLE_WANTED;
}

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void unwinding_build(struct unwinding *u, uint64_t budget_ns, uint64_t now_ns)
{
	uint64_t end = monotonic_ns() + budget_ns;

	for (; u->next <= objects_count(u->objects); u->next++) {
		if (u->state[u->next] != TABLE_WANTED)
			continue;
		look_at(u, u->next, now_ns);
		if (u->state[u->next] == TABLE_WANTED)
			return; /* there is no parser for the moment */
		if (monotonic_ns() >= end) {
			u->next++;
			return;
		}
	}
}

static void touch(void *ctx, struct process *proc)
{
	struct unwinding *u = ctx;

	if (proc->exited)
		return;
	for (size_t i = 0; i < proc->n_mappings; i++) {
		uint32_t object = proc->mappings[i].object;

		if (object == OBJECT_NONE || object > OBJECTS_MAX)
			continue;
		unwind_tables_touch(u->tables, object, u->now_ns);
		if (u->state[object] == TABLE_BUILT && !unwind_tables_has(u->tables, object)) {
			u->state[object] = TABLE_WANTED;
			if (object < u->next)
				u->next = object;
		}
	}
}

void unwinding_sweep(struct unwinding *u, uint64_t now_ns)
{
	u->now_ns = now_ns;
	processes_each(u->processes, touch, u);
	unwind_tables_evict(u->tables, now_ns);
}
