/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* What differs between kernels, each as a named accessor that says since when. */
#ifndef FOLDD_COMPAT_BPF_H
#define FOLDD_COMPAT_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define PIDNS_LEVELS 33 /* MAX_PID_NS_LEVEL + 1, include/linux/pid_namespace.h */

/* foldd's own pid namespace (inode of /proc/self/ns/pid); 0: the initial one, no translation. */
const volatile __u32 pidns_inum = 0;

/* Number of a struct pid in foldd's namespace; 0 where it is not visible there. */
static __always_inline __u32 pid_number(struct pid *pid)
{
	__u32 level = BPF_CORE_READ(pid, level);
	struct pid_namespace *ns;
	struct upid *u;

	for (__u32 i = 0; i < PIDNS_LEVELS; i++) {
		if (i > level)
			break;
		u = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
		    i * bpf_core_type_size(struct upid);
		ns = BPF_CORE_READ(u, ns);
		if (BPF_CORE_READ(ns, ns.inum) == pidns_inum)
			return BPF_CORE_READ(u, nr);
	}
	return 0;
}

static __always_inline __u32 task_tid(struct task_struct *t)
{
	return pidns_inum ? pid_number(BPF_CORE_READ(t, thread_pid)) : t->pid;
}

static __always_inline __u32 task_tgid(struct task_struct *t)
{
	return pidns_inum ? pid_number(BPF_CORE_READ(t, group_leader, thread_pid)) : t->tgid;
}

#endif
