/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "clock.h"
#include "scan.h"

#define USER_ADDRESS_MAX (1ULL << 63) /* [vsyscall] is past it: no code of the process */
#define BORN_LATE_NS     50000000ULL  /* a start so much after the fork event is another process */

static uint64_t tick_ns(void)
{
	static uint64_t ns;

	if (!ns)
		ns = 1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK);
	return ns;
}

bool scan_same_start(uint64_t ticks, uint64_t start_ns)
{
	uint64_t other = start_ns / tick_ns();

	return other <= ticks + 1 && ticks <= other + 1;
}

bool scan_is_alive(const struct instance *i)
{
	struct procfs_stat st;

	if (procfs_read_stat(i->pub.pid, &st) || !procfs_alive(&st))
		return false;
	return !i->has_ticks || i->start_ticks == st.start_ticks;
}

static struct mapping make_mapping(struct processes *p, struct instance *i,
				   const struct maps_line *line, uint64_t made_ns)
{
	const struct mapped_at where = {
		.pid = i->pub.pid,
		.start = line->start,
		.end = line->end,
		.rootfd = i->pub.rootfd,
		.known_only = i->n_objects >= PROCESS_OBJECTS_MAX,
	};
	uint32_t before = objects_count(p->objects);
	struct mapping m = { .start = line->start, .end = line->end, .made_ns = made_ns };

	m.object = objects_add(p->objects, line->path, &line->id, &where);
	i->n_objects += objects_count(p->objects) - before;
	if (m.object == OBJECT_VDSO)
		m.bias = line->start;
	else if (m.object != OBJECT_NONE)
		m.bias = line->start - line->pgoff;
	return m;
}

void scan_add_mapping(struct processes *p, struct instance *i, const struct maps_line *line,
		      uint64_t made_ns)
{
	size_t before = i->space.count;
	bool replaced = false;
	struct mapping m;
	int r;

	if (line->end > USER_ADDRESS_MAX)
		return;
	m = make_mapping(p, i, line, made_ns);
	r = space_add(&i->space, &m, instances_mappings_limit(p), &replaced);
	if (r < 0)
		p->mappings_refused++;
	if (r <= 0)
		return;
	i->pub.dirty = true;
	if (replaced)
		i->pub.remapped_ns = made_ns;
	instances_mapped(p, i, before);
}

struct pass {
	struct processes *table;
	struct instance *instance;
	struct space found;
	size_t limit;
};

static int add_found(void *ctx, const struct maps_line *line)
{
	struct pass *pass = ctx;
	bool replaced;
	struct mapping m;

	if (line->end > USER_ADDRESS_MAX)
		return 0;
	m = make_mapping(pass->table, pass->instance, line, 0);
	if (space_add(&pass->found, &m, pass->limit, &replaced) < 0)
		pass->table->mappings_refused++;
	return 0;
}

static int scan_maps(struct processes *p, struct instance *i)
{
	struct pass pass = { .table = p, .instance = i, .limit = instances_mappings_limit(p) };
	size_t before = i->space.count;
	bool replaced = false;
	int err = maps_read(i->pub.pid, add_found, &pass);

	/* Cut off half way, what was found is still right, and what was known may be as well. */
	if (err && !pass.found.count)
		return err;
	if (space_update(&i->space, &pass.found, &replaced))
		i->pub.dirty = true;
	if (replaced)
		i->pub.remapped_ns = clock_ns(CLOCK_MONOTONIC);
	instances_mapped(p, i, before);
	return 0;
}

void scan_root(struct processes *p, struct instance *i)
{
	int fd = objects_root_open(p->objects, i->pub.pid);

	if (fd < 0)
		return;
	objects_root_unuse(p->objects, i->pub.rootfd);
	i->pub.rootfd = fd;
}

static bool is_other(const struct instance *i, const struct procfs_stat *st)
{
	uint64_t start;

	if (i->has_ticks)
		return i->start_ticks != st->start_ticks;
	if (i->pub.start_ns)
		return !scan_same_start(st->start_ticks, i->pub.start_ns);
	start = st->start_ticks * tick_ns();
	return i->born_ns && start > i->born_ns + BORN_LATE_NS + clock_ns(CLOCK_BOOTTIME) -
					     clock_ns(CLOCK_MONOTONIC);
}

static int fill(struct processes *p, struct instance *i, const struct procfs_stat *st,
		uint64_t as_of_ns)
{
	memcpy(i->pub.comm, st->comm, sizeof(i->pub.comm));
	i->start_ticks = st->start_ticks;
	i->has_ticks = true;
	i->as_of_ns = as_of_ns;
	i->threads = THREADS_UNKNOWN;
	i->seen = true;
	if (st->state == 'Z')
		instances_set_leader_gone(p, i, true);
	if (st->kernel_thread)
		return 0;
	scan_root(p, i);
	return scan_maps(p, i);
}

int scan_fill(struct processes *p, struct instance *i)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	struct procfs_stat st;
	int err = procfs_read_stat(i->pub.pid, &st);

	if (err)
		return err;
	if (!procfs_alive(&st) || is_other(i, &st))
		return -ESRCH;
	return fill(p, i, &st, now);
}

int scan_fill_as(struct processes *p, struct instance *i, uint64_t start_ns)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	struct procfs_stat st;
	int err = procfs_read_stat(i->pub.pid, &st);

	if (err)
		return err;
	if (!procfs_alive(&st) || (start_ns && !scan_same_start(st.start_ticks, start_ns)))
		return -ESRCH;
	return fill(p, i, &st, now);
}

int processes_scan(struct processes *p, pid_t pid)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	struct instance *i = instances_newest(p, pid);
	struct procfs_stat st;
	int err = procfs_read_stat(pid, &st);
	bool known = i && !i->pub.exited;

	if (!err && known && is_other(i, &st)) {
		instances_retire(p, i, now);
		known = false;
	}
	if (!err && !procfs_alive(&st))
		err = -ESRCH;
	if (err)
		return err;
	if (known)
		return fill(p, i, &st, now);
	if (!processes_wanted(p, pid))
		return 0;
	i = instances_add(p, pid, false);
	return i ? fill(p, i, &st, now) : -ENOSPC;
}

/* What is in the table as alive and was not found in /proc is gone. */
static void retire_unseen(struct processes *p, uint64_t ns)
{
	for (uint32_t s = 0; s < p->n_slots; s++) {
		struct instance *i = p->slots[s];

		if (i && !i->seen && !i->pub.exited)
			instances_retire(p, i, ns);
	}
}

int processes_scan_all(struct processes *p)
{
	_cleanup_closedir_ DIR *dir = opendir("/proc");
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	size_t read_ok = 0, denied = 0;
	struct dirent *d;

	if (!dir)
		return -errno;
	for (uint32_t s = 0; s < p->n_slots; s++)
		if (p->slots[s])
			p->slots[s]->seen = false;
	while ((d = readdir(dir))) {
		pid_t pid = d->d_name[0] >= '1' && d->d_name[0] <= '9' ? atoi(d->d_name) : 0;
		int err = pid > 0 ? processes_scan(p, pid) : -ESRCH;

		if (err == -ENOMEM)
			return err;
		read_ok += !err;
		denied += err == -EACCES || err == -EPERM;
	}
	retire_unseen(p, now);
	return denied && !read_ok ? -EACCES : 0;
}
