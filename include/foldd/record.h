/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The one record that every kind of profile emits, the per-thread state behind the exact
 * counters, and the control block: what the kernel side and user space share.
 */
#ifndef FOLDD_RECORD_H
#define FOLDD_RECORD_H

#include <linux/types.h>
#include "loss.h"
#include "reason.h"
#include "unwind.h"

#define FOLDD_COMM_LEN 16 /* TASK_COMM_LEN */

enum foldd_kind {
	FOLDD_KIND_OFFCPU = 0, /* value: ns off CPU */
	FOLDD_KIND_CPU = 1,    /* value: ns on CPU (one sampling interval) */
	FOLDD_KIND_MAX = 2,
};

#define FOLDD_RECORD_OPEN    (1 << 0) /* the wait had not ended when the window did */
#define FOLDD_RECORD_KTHREAD (1 << 1) /* a kernel thread */

struct foldd_record {
	__u8 kind;     /* enum foldd_kind */
	__u8 reason;   /* enum foldd_reason of the part before the wake-up */
	__u8 walk_end; /* enum foldd_walk_end, FOLDD_WALK_BY_FRAME_POINTER */
	__u8 flags;    /* FOLDD_RECORD_* */
	__u16 n_user;
	__u16 n_kernel;
	__u32 tgid; /* both as seen from foldd's own pid namespace */
	__u32 tid;
	__u64 time_ns;       /* CLOCK_MONOTONIC at the end of the event */
	__u64 value_ns;      /* exact size of the event */
	__u64 run_queue_ns;  /* offcpu: the part of value_ns after the wake-up */
	__u64 period_ns;     /* the T it was drawn with; 0: every event is taken */
	__u64 start_ns;      /* start_boottime of the process's leader: tells reused pids apart */
	__u64 maps_as_of_ns; /* as_of_ns of the table the walk used; 0: frames are raw addresses */
	char comm[FOLDD_COMM_LEN];        /* of the process's leader */
	char thread_comm[FOLDD_COMM_LEN]; /* of the thread */
	/* __u64 frames[n_user + n_kernel] follow: user frames, then kernel ones, each leaf first */
};

#define FOLDD_RECORD_MAX_FRAMES (FOLDD_MAX_KERNEL_FRAMES + FOLDD_MAX_USER_FRAMES)

/*
 * State of one thread, in BPF_MAP_TYPE_TASK_STORAGE: it dies with the thread. Having one is what
 * makes a thread a target. Only the scheduler hook on the thread's own switches writes the
 * counters, so a reader may look at any time.
 */
struct foldd_thread {
	__u64 clock_ns;  /* CLOCK_MONOTONIC start of the present interval; bit 0: it is on CPU */
	__u64 waking_ns; /* when a waker came for the present wait; 0: none yet */
	__u64 exec_ns;   /* last exec of the process, or its start */
	__u32 tgid;      /* both as seen from foldd's own pid namespace */
	__u32 tid;
	__u32 until;     /* distance to the next sample point in periods, Q20 */
	__u32 n_pending; /* sampled waits of the present system call that await its user stack */
	__u8 reason;     /* enum foldd_reason of the present wait */
	__u8 flags;      /* FOLDD_THREAD_* */
	__u8 pad[6];
	__u64 ns[FOLDD_REASON_MAX];    /* exact time by reason; [RUNNING] is on-CPU time */
	__u32 count[FOLDD_REASON_MAX]; /* intervals by reason */
};

#define FOLDD_THREAD_KTHREAD (1 << 0)
#define FOLDD_THREAD_SYSCALL (1 << 1) /* the present wait is inside a system call */
#define FOLDD_THREAD_WALKED  (1 << 2) /* the user stack was taken at switch-out */
#define FOLDD_THREAD_GATED   (1 << 3) /* it was left out there, by the rate gate */
#define FOLDD_THREAD_GONE    (1 << 4) /* dead, and its totals are in "exited" */

/* What the iterator over threads writes for each of them. */
struct foldd_thread_total {
	__u32 tgid;
	__u32 tid;
	__u64 start_ns; /* as in struct foldd_record */
	char comm[FOLDD_COMM_LEN];
	char thread_comm[FOLDD_COMM_LEN];
	__u64 ns[FOLDD_REASON_MAX];
	__u32 count[FOLDD_REASON_MAX];
};

/* Totals of threads that have exited, by process and reason: map "exited". */
struct foldd_exited_key {
	__u64 start_ns;
	__u32 tgid; /* 0: the map was full, the process is unknown */
	__u32 reason;
};

struct foldd_total {
	__u64 ns;
	__u64 count;
	char comm[FOLDD_COMM_LEN]; /* of the process's leader when the first thread exited */
};

struct foldd_loss_count {
	__u64 count;
	__u64 weight; /* in the unit of the kind; 0 where the loss has no size */
};

/*
 * One per recording, mmaped by user space. User space writes the first block before the programs
 * are attached (and stop_ns at the end), the kernel side writes the second.
 */
struct foldd_control {
	__u64 period_ns;     /* T; 0: every event */
	__u64 stop_ns;       /* 0 while recording; afterwards the end of the window */
	__u64 cpu_period_ns; /* value of one cpu sample */
	__u32 rate_quota;    /* samples per FOLDD_RATE_WINDOW_NS before T rises */
	__u32 walk_quota;    /* switch-out walks per FOLDD_RATE_WINDOW_NS and CPU */
	/* CLOCK_MONOTONIC minus the run queues' clock, and when it was learnt (kernel side) */
	__s64 clock_offset_ns;
	__u64 offset_epoch;
	__u64 inverse; /* foldd_inverse() of max(T, FOLDD_PERIOD_FLOOR_NS) */
	__u64 pad;

	__u64 window_ns;      /* start of the present rate window */
	__u32 window_samples; /* drawn in it */
	__u32 shift;          /* T in force = max(T, FOLDD_PERIOD_FLOOR_NS if shift) << shift */
	__u32 max_shift;      /* highest shift of the recording */
	__s32 pending;        /* sampled waits that await their user stack, all threads together */
	__u64 samples;
};

#define FOLDD_RATE_WINDOW_NS  10000000ULL /* short, so that a storm meets a raised T in 10 ms */
#define FOLDD_PERIOD_FLOOR_NS 1000ULL     /* what T = 0 is raised to first */
#define FOLDD_MAX_SHIFT       24

#define FOLDD_STATIC_ASSERT(cond) _Static_assert(cond, #cond)
FOLDD_STATIC_ASSERT(sizeof(struct foldd_record) == 96);
FOLDD_STATIC_ASSERT(sizeof(struct foldd_thread) == 48 + 12 * FOLDD_REASON_MAX);
FOLDD_STATIC_ASSERT(sizeof(struct foldd_mapping) == 32);
FOLDD_STATIC_ASSERT(sizeof(struct foldd_proc) == 16);
FOLDD_STATIC_ASSERT(sizeof(struct foldd_control) == 96);

#endif
