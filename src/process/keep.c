/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What must be held of a process so that its JIT frames have names after its exit: its pid in
 * its own namespace, its user, and an open descriptor of its perf map.
 */
#include <errno.h>
#include "clock.h"
#include "instances.h"
#include "open.h"
#include "perfmap.h"

#define PERF_MAP_FDS_MAX  256
#define PERF_MAP_RETRY_NS 1000000000ULL
#define PERF_MAP_EARLY_NS 2000000000ULL /* clocks of file systems are coarse and get set */

/* A map that a process before this one with the same pid has left behind would name wrongly. */
static bool too_old(const struct instance *i, const struct stat *st)
{
	uint64_t changed =
		(uint64_t)st->st_mtim.tv_sec * 1000000000ULL + (uint64_t)st->st_mtim.tv_nsec;
	uint64_t age;

	if (i->pub.start_ns)
		age = clock_ns(CLOCK_BOOTTIME) - i->pub.start_ns;
	else if (i->has_ticks)
		age = clock_ns(CLOCK_BOOTTIME) -
		      i->start_ticks * (1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK));
	else if (i->born_ns)
		age = clock_ns(CLOCK_MONOTONIC) - i->born_ns;
	else
		return true;
	return changed + age + PERF_MAP_EARLY_NS < clock_ns(CLOCK_REALTIME);
}

static int open_perf_map(const struct instance *i)
{
	_cleanup_close_ int fd = -1;
	char path[48];
	struct stat st;
	int err;

	if (!i->has_status || i->pub.rootfd < 0)
		return -ENOENT;
	(void)snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)i->pub.ns_pid);
	fd = open_in_root(i->pub.rootfd, i->pub.pid, path, &st);
	if (fd >= 0 && too_old(i, &st))
		return -ENOENT; /* of an earlier process */
	err = fd < 0 ? fd : 0;
	if (!err && st.st_uid != i->euid && st.st_uid != 0)
		err = -EPERM;
	if (!err && st.st_size > PERFMAP_BYTES_MAX)
		err = -EFBIG;
	if (err)
		refused_add(objects_refused_files(i->owner->objects), path, err);
	return err ? err : TAKE_FD(fd);
}

static void learn_status(struct instance *i)
{
	struct procfs_status status;

	/* After the exit, /proc would tell of whoever has the pid now. */
	if (i->has_status || i->pub.exited || procfs_read_status(i->pub.pid, &status))
		return;
	i->pub.ns_pid = status.ns_pid;
	i->euid = status.euid;
	i->has_status = true;
}

int process_perf_map(struct process *proc)
{
	struct instance *i = instance_of(proc);
	int fd;

	if (i->map_fd >= 0)
		return i->map_fd;
	if (i->owner->n_map_fds >= PERF_MAP_FDS_MAX)
		return -EMFILE;
	learn_status(i);
	fd = open_perf_map(i);
	if (fd >= 0) {
		i->map_fd = fd;
		i->owner->n_map_fds++;
	}
	return fd;
}

void process_keep(struct process *proc)
{
	struct instance *i = instance_of(proc);
	uint64_t now;

	i->kept = true;
	if (i->map_fd >= 0 || proc->exited)
		return;
	now = clock_ns(CLOCK_MONOTONIC);
	if (i->map_tried_ns && now - i->map_tried_ns < PERF_MAP_RETRY_NS)
		return;
	i->map_tried_ns = now;
	(void)process_perf_map(proc);
}
