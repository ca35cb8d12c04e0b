/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Who is profiled. A thread is a target when it has a state in the "threads" storage. States are
 * made where the kernel may allocate: by the iterator at the start, at fork, and when a thread
 * enters the cgroup; never inside the scheduler, where kernels before 6.1 could deadlock on it.
 */
#ifndef FOLDD_TARGET_BPF_H
#define FOLDD_TARGET_BPF_H

#include "maps.bpf.h"
#include "compat.bpf.h"
#include <foldd/sample.h>

enum target_mode { MODE_ALL = 0, MODE_PIDS = 1, MODE_CGROUP = 2 };

const volatile __u32 target_mode = MODE_ALL;
const volatile __u32 self_tgid = 0;     /* in foldd's namespace */
const volatile __u64 target_cgroup = 0; /* id (inode number in cgroup2) */
const volatile __u32 target_cgroup_level = 0;

static __always_inline bool in_cgroup(struct task_struct *t)
{
	struct cgroup *c = BPF_CORE_READ(t, cgroups, dfl_cgrp);
	__u64 id = 0;

	if ((__u32)BPF_CORE_READ(c, level) < target_cgroup_level)
		return false;
	if (bpf_core_field_exists(c->ancestors)) {
		struct cgroup *a = NULL;

		bpf_probe_read_kernel(&a, sizeof(a),
				      (void *)c + bpf_core_field_offset(struct cgroup, ancestors) +
					      target_cgroup_level * sizeof(a));
		id = BPF_CORE_READ(a, kn, id);
	} else {
		bpf_probe_read_kernel(&id, sizeof(id),
				      (void *)c +
					      bpf_core_field_offset(struct cgroup___ids,
								    ancestor_ids) +
					      target_cgroup_level * sizeof(id));
	}
	return id == target_cgroup;
}

/* A state for the thread; the clock is left at 0 for the caller to start. NULL: no memory. */
static __always_inline struct foldd_thread *thread_new(struct task_struct *t, __u64 exec_ns)
{
	struct foldd_thread *st;

	st = bpf_task_storage_get(&threads, t, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!st) {
		count_loss(FOLDD_KIND_OFFCPU, FOLDD_LOSS_NO_THREAD_STATE, 0);
		return NULL;
	}
	if (st->clock_ns) /* another hook was first */
		return st;
	st->tgid = task_tgid(t);
	st->tid = task_tid(t);
	st->exec_ns = exec_ns;
	st->until = foldd_sample_distance(bpf_get_prandom_u32());
	if (t->flags & PF_KTHREAD)
		st->flags |= FOLDD_THREAD_KTHREAD;
	return st;
}

#endif
