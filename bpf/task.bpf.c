// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * The life of threads: who becomes a target, what exec, fork and exit do to the tables, and the
 * two passes over all threads, one that opens the window and one that closes it.
 */
#include "lib/maps.bpf.h"
#include "lib/compat.bpf.h"
#include "lib/target.bpf.h"
#include "lib/unwind.bpf.h"
#include "lib/emit.bpf.h"
#include "lib/reason.bpf.h"
#include <bpf/bpf_tracing.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TARGETS_MAX);
	__type(key, __u32); /* tgid in foldd's namespace */
	__type(value, __u8);
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} task_scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct foldd_thread_total);
} total_scratch SEC(".maps");

/*
 * The process that reads files for foldd; later ones are forked by foldd, which has no state, and
 * so they have none either.
 */
const volatile __u32 worker_tgid = 0;

static __always_inline bool wanted(struct task_struct *t)
{
	__u32 tgid = task_tgid(t);

	if (!t->pid || !tgid || tgid == self_tgid || tgid == worker_tgid)
		return false;
	if (target_mode == MODE_PIDS)
		return bpf_map_lookup_elem(&targets, &tgid) != NULL;
	if (target_mode == MODE_CGROUP)
		return in_cgroup(t);
	return true;
}

/* Start the clock of a thread that no hook has seen yet. */
static __always_inline void clock_start(struct task_struct *t, struct foldd_thread *st,
					enum memory memory)
{
	__u64 now = bpf_ktime_get_ns() & ~1ULL;
	__u32 state = t->__state;
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(t);

	if (t->on_cpu) {
		now |= 1;
	} else if (!state) {
		st->reason = FOLDD_REASON_PREEMPTED;
	} else {
		st->reason = wait_reason(t, memory, regs, state);
	}
	if (!(st->flags & FOLDD_THREAD_KTHREAD) && (long)regs->orig_ax >= 0)
		st->flags |= FOLDD_THREAD_SYSCALL;
	/* where a hook has been faster, its clock is the right one */
	__sync_val_compare_and_swap(&st->clock_ns, 0, now);
}

static __always_inline int open_thread(struct bpf_iter__task *ctx, enum memory memory)
{
	struct task_struct *t = ctx->task;
	struct foldd_thread *st;

	if (!t || (t->__state & TASK_DEAD) || !wanted(t)) /* a zombie waits for nothing */
		return 0;
	st = thread_new(t, 0);
	if (st)
		clock_start(t, st, memory);
	return 0;
}

SEC("iter.s/task")
int open_window(struct bpf_iter__task *ctx)
{
	return open_thread(ctx, MEMORY_REMOTE);
}

/* Before Linux 5.18 (bpf_copy_from_user_task) another thread's memory cannot be read. */
SEC("iter/task")
int open_window_plain(struct bpf_iter__task *ctx)
{
	return open_thread(ctx, MEMORY_NONE);
}

/* The open interval of a thread, up to the end of the window, into its exact counters. */
static __always_inline __u64 close_clock(struct foldd_thread *st, __u64 stop, __u64 *ret_queue)
{
	__u64 clock = st->clock_ns, start = clock & ~1ULL, waited, queue = 0;
	__u32 reason = st->reason & (FOLDD_REASON_MAX - 1);

	*ret_queue = 0;
	if (!start || stop <= start)
		return 0;
	st->clock_ns = (stop & ~1ULL) | (clock & 1);
	waited = stop - start;
	if (clock & 1) {
		st->ns[FOLDD_REASON_RUNNING] += waited;
		st->count[FOLDD_REASON_RUNNING]++;
		return 0;
	}
	if (st->waking_ns >= start && st->waking_ns <= stop)
		queue = stop - st->waking_ns;
	if (queue) {
		st->ns[FOLDD_REASON_RUN_QUEUE] += queue;
		st->count[FOLDD_REASON_RUN_QUEUE]++;
	}
	if (reason != FOLDD_REASON_RUN_QUEUE) {
		st->ns[reason] += waited - queue;
		st->count[reason]++;
	}
	*ret_queue = queue;
	return waited;
}

static __always_inline void write_totals(struct bpf_iter__task *ctx, struct task_struct *t,
					 const struct foldd_thread *st)
{
	struct foldd_thread_total *out = bpf_map_lookup_elem(&total_scratch, &zero);

	if (!out)
		return;
	out->tgid = st->tgid;
	out->tid = st->tid;
	out->start_ns = t->group_leader->start_boottime;
	bpf_probe_read_kernel(out->comm, sizeof(out->comm), t->group_leader->comm);
	bpf_probe_read_kernel(out->thread_comm, sizeof(out->thread_comm), t->comm);
	bpf_probe_read_kernel(out->ns, sizeof(out->ns), st->ns);
	bpf_probe_read_kernel(out->count, sizeof(out->count), st->count);
	bpf_seq_write(ctx->meta->seq, out, sizeof(*out));
}

/* Read what the walk wants of another thread's memory. */
static __always_inline int read_remote(struct scratch *s, struct task_struct *t)
{
	for (int i = 0; i < 3; i++) {
		if (!s->walk.want[i])
			break;
		if (bpf_copy_from_user_task(&s->walk.got[i], sizeof(s->walk.got[i]),
					    (void *)s->walk.want[i], t, 0))
			return walk_end(s, FOLDD_WALK_UNREADABLE);
	}
	return 0;
}

struct remote_walk {
	struct scratch *s;
	struct task_struct *t;
};

static int remote_step(__u32 i, void *data)
{
	struct remote_walk *w = data;

	return walk_step(w->s) || read_remote(w->s, w->t);
}

/*
 * The stack of another thread, which stays where it is: it is blocked, or we say what we saw. By
 * bpf_loop (Linux 5.17), whose body is verified once: where another task can be read, there it is.
 */
static __always_inline void walk_remote(struct scratch *s, struct task_struct *t,
					const struct foldd_thread *st)
{
	struct remote_walk w = { .s = s, .t = t };

	if (walk_start(s, t, (struct pt_regs *)bpf_task_pt_regs(t), st->tgid, st->exec_ns))
		bpf_loop(WALK_STEPS + 1, remote_step, &w, 0);
	walk_finish(s);
}

const volatile bool want_open_waits = true;

static __always_inline int close_thread(struct bpf_iter__task *ctx, bool sleepable)
{
	struct task_struct *t = ctx->task;
	struct foldd_control *c = bpf_map_lookup_elem(&control, &zero);
	struct scratch *s = bpf_map_lookup_elem(&task_scratch, &zero);
	struct foldd_thread *st;
	__u64 waited, queue, period;
	__u32 pending, at;
	bool take;

	if (!t || !c || !s)
		return 0;
	st = bpf_task_storage_get(&threads, t, 0, 0);
	if (!st || (st->flags & FOLDD_THREAD_GONE))
		return 0;
	waited = close_clock(st, c->stop_ns, &queue);
	write_totals(ctx, t, st);
	period = foldd_period(c);
	take = waited && want_open_waits && sample_take(c, st, waited, period);
	pending = __sync_lock_test_and_set(&st->n_pending, 0);
	if (!take && !pending)
		return 0;
	record_start(&s->rec, t, st, FOLDD_KIND_OFFCPU, c->stop_ns);
	if (!sleepable)
		s->rec.walk_end = FOLDD_WALK_BLOCKED;
	else if (!(st->flags & FOLDD_THREAD_KTHREAD))
		walk_remote(s, t, st);
	if (take) {
		s->rec.flags |= FOLDD_RECORD_OPEN;
		s->rec.value_ns = waited;
		s->rec.run_queue_ns = queue;
		s->rec.period_ns = period;
		at = s->rec.n_user;
		if (at > SCRATCH_FRAMES / 2 - 1)
			at = SCRATCH_FRAMES / 2 - 1;
		s->rec.n_user = at;
		record_kernel_stack(s, t, at);
		record_send(&s->rec);
		__sync_fetch_and_add(&c->samples, 1);
	}
	if (pending)
		pending_send(s, c, t->pid, pending, walked_save(s));
	return 0;
}

SEC("iter.s/task")
int close_window(struct bpf_iter__task *ctx)
{
	return close_thread(ctx, true);
}

SEC("iter/task")
int close_window_plain(struct bpf_iter__task *ctx)
{
	return close_thread(ctx, false);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	struct foldd_thread *up = bpf_task_storage_get(&threads, parent, 0, 0), *st;
	struct foldd_proc *proc;
	__u32 from, to;
	__u64 now;

	if (!up)
		return 0;
	st = thread_new(child, up->exec_ns);
	if (!st)
		return 0;
	now = bpf_ktime_get_ns() & ~1ULL;
	st->waking_ns = now; /* runnable from birth */
	st->reason = FOLDD_REASON_RUN_QUEUE;
	if (!(st->flags & FOLDD_THREAD_KTHREAD))
		st->flags |= FOLDD_THREAD_SYSCALL; /* it comes out of clone */
	st->clock_ns = now;
	if (st->tgid == up->tgid)
		return 0;
	/* the child's memory is a copy of its parent's, and so is its table */
	from = up->tgid;
	to = st->tgid;
	proc = bpf_map_lookup_elem(&procs, &from);
	if (proc)
		bpf_map_update_elem(&procs, &to, proc, BPF_ANY);
	else
		bpf_map_delete_elem(&procs, &to);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *t)
{
	struct foldd_thread *st = bpf_task_storage_get(&threads, t, 0, 0);

	if (!st)
		return 0;
	st->exec_ns = bpf_ktime_get_ns();
	st->tid = task_tid(t); /* a thread that calls exec becomes the leader */
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *t)
{
	struct foldd_thread *st = bpf_task_storage_get(&threads, t, 0, 0);
	struct foldd_control *c = bpf_map_lookup_elem(&control, &zero);
	struct scratch *s = bpf_map_lookup_elem(&task_scratch, &zero);
	struct walked none = { .end = FOLDD_WALK_EXITED };
	__u32 key, count;

	if (!st || !c || !s)
		return 0;
	key = st->tgid;
	if (!t->signal || !t->signal->live.counter)
		bpf_map_delete_elem(&procs, &key);
	/* it ends inside the system call (exit itself): there will be no sys_exit */
	count = __sync_lock_test_and_set(&st->n_pending, 0);
	if (count)
		pending_send(s, c, t->pid, count, none);
	return 0;
}

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(on_cgroup_attach, struct cgroup *cgrp, const char *path, struct task_struct *t)
{
	struct foldd_thread *st;

	if (target_mode != MODE_CGROUP || !wanted(t))
		return 0;
	st = thread_new(t, 0);
	if (st)
		clock_start(t, st, MEMORY_NONE);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
