/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The maps that all kinds share. Each object declares all of them; the loader creates them with
 * the first object and lets the others reuse them by name.
 */
#ifndef FOLDD_MAPS_BPF_H
#define FOLDD_MAPS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <foldd/record.h>

#define RING_BYTES  (4 << 20) /* 0.2 s of the default rate at 1 KiB a sample */
#define RING_WAKE   (RING_BYTES / 4)
#define PENDING_MAX 1024  /* sampled waits between switch-in and sys_exit, or preempted */
#define EXITED_MAX  16384 /* (process, reason) pairs; user space sweeps them each second */
#define TARGETS_MAX 1024
#define LOSS_SLOTS  (FOLDD_KIND_MAX * FOLDD_LOSS_MAX) /* by kind, then reason */

/* What a program works on: a record with room for any index that the verifier can think of. */
#define SCRATCH_FRAMES 512

/* The words above the stack pointer, read at once: most of what a walk wants is in there. */
#define WINDOW_WORDS 256

struct scratch {
	struct foldd_walk walk;
	__u32 first, count; /* the process's run of mappings */
	__u32 cached;       /* index of the last one that matched */
	__u16 n;            /* frames so far */
	__u8 end;           /* enum foldd_walk_end */
	__u8 raw;           /* the process is not in the table */
	__u8 ask_kernel;    /* then the kernel may be asked for its mappings */
	__u8 by_frame_pointer;
	__u8 pad[6];
	struct foldd_mapping vma; /* its last answer */
	__u64 task;               /* whose stack it is, as a number: only read fault-safely */
	__u64 trampoline;         /* where hijacked functions return to: 0 not known yet, 1 none */
	__u64 node;               /* of its tree of mappings, while one is looked for */
	__u64 pivots[16];         /* of that node; the last one stays 0 */
	__u64 instance;           /* of its return instances, the first one not passed yet */
	__u64 window_base;        /* user address of window[0]; 0: not read */
	__u64 window[WINDOW_WORDS];
	struct foldd_record rec;
	__u64 frames[SCRATCH_FRAMES];
};

/*
 * A sampled wait that awaits its user stack: n-th one of the thread's present system call, with
 * its kernel frames. Slot PENDING_WALKED is the other way round: the user frames of a wait outside
 * of system calls, which is not known yet to be sampled.
 */
#define PENDING_PER_THREAD 8
#define PENDING_WALKED     PENDING_PER_THREAD

struct pending_key {
	__u32 tid; /* the kernel's own number */
	__u32 slot;
};

struct pending {
	struct foldd_record rec;
	__u64 frames[FOLDD_MAX_USER_FRAMES]; /* the larger of the two */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct foldd_control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct foldd_thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOSS_SLOTS);
	__type(key, __u32);
	__type(value, struct foldd_loss_count);
} losses SEC(".maps");

/* By enum foldd_walk_end; the slots behind it are the rate gate's. */
struct walk_count {
	__u64 ends[FOLDD_WALK_END_MAX];
	__u64 gate_window_ns;
	__u64 gate_walks;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct walk_count);
} walks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EXITED_MAX);
	__type(key, struct foldd_exited_key);
	__type(value, struct foldd_total);
} exited SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PENDING_MAX);
	__type(key, struct pending_key);
	__type(value, struct pending);
} pendings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct foldd_pool);
} pool SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct foldd_tables);
} tables SEC(".maps");

/* struct foldd_chunk each; made by user space as rows come in. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, FOLDD_MAX_CHUNKS);
	__uint(key_size, sizeof(__u32));
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(map_flags, BPF_F_MMAPABLE);
			__uint(max_entries, 1);
			__uint(key_size, sizeof(__u32));
			__uint(value_size, sizeof(struct foldd_chunk));
		});
} chunks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FOLDD_MAX_PROCESSES);
	__type(key, __u32); /* tgid */
	__type(value, struct foldd_proc);
} procs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FOLDD_MAX_OBJECTS);
	__type(key, struct foldd_inode);
	__type(value, __u32); /* object */
} inodes SEC(".maps");

static const __u32 zero = 0;

/* What is rare is moved out of the way of what happens at every switch. */
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static __always_inline void count_loss(__u32 kind, __u32 reason, __u64 weight)
{
	__u32 key = kind * FOLDD_LOSS_MAX + reason;
	struct foldd_loss_count *l = bpf_map_lookup_elem(&losses, &key);

	if (l) {
		l->count++;
		l->weight += weight;
	}
}

#endif
