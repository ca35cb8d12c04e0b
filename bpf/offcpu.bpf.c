// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * Off-CPU time: the scheduler's hooks keep the clocks of every target thread, exactly, and draw
 * samples of its waits; only a sampled wait has its stacks walked. The kernel stack is taken when
 * the thread is switched in, the user stack at the exit of its system call (same frames, its
 * memory is mapped again); outside of system calls at switch-out, under a rate gate.
 */
#include "lib/maps.bpf.h"
#include "lib/compat.bpf.h"
#include "lib/target.bpf.h"
#include "lib/unwind.bpf.h"
#include "lib/emit.bpf.h"
#include "lib/reason.bpf.h"
#include <bpf/bpf_tracing.h>

const volatile bool switch_has_state = true; /* prev_state argument: Linux 5.18, fa2c3254d7cf */
#define OFFSET_EPOCH_SHIFT 28                /* the clocks' offset is learnt anew every 0.27 s */

const volatile bool want_samples = true; /* false: clocks only, for other kinds' totals */

/* One for each class of hooks that may interrupt another one. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} switch_scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} exit_scratch SEC(".maps");

static __always_inline void add_time(struct foldd_thread *st, __u32 reason, __u64 ns)
{
	reason &= FOLDD_REASON_MAX - 1;
	st->ns[reason] += ns;
	st->count[reason]++;
}

/* May this CPU walk at switch-out, where it is not known yet whether the wait will be sampled? */
static __always_inline bool gate_open(const struct foldd_control *c, __u64 now)
{
	struct walk_count *w = bpf_map_lookup_elem(&walks, &zero);

	if (!w)
		return false;
	if (now - w->gate_window_ns >= FOLDD_RATE_WINDOW_NS) {
		w->gate_window_ns = now;
		w->gate_walks = 0;
	}
	return w->gate_walks++ < c->walk_quota;
}

/* Keep what is in the scratch until the thread comes back. */
static __always_inline bool pending_put(struct scratch *s, struct task_struct *t, __u32 slot)
{
	struct pending_key key = { .tid = t->pid, .slot = slot };

	return !bpf_map_update_elem(&pendings, &key, &s->rec, BPF_ANY);
}

/* The thread leaves user mode by force or by a fault: no sys_exit will come, so walk now. */
static __always_inline void walk_at_switch_out(const struct foldd_control *c, struct task_struct *t,
					       struct foldd_thread *st, struct pt_regs *regs,
					       __u64 now)
{
	struct scratch *s;

	if (!gate_open(c, now)) {
		st->flags |= FOLDD_THREAD_GATED;
		return;
	}
	s = bpf_map_lookup_elem(&switch_scratch, &zero);
	if (!s)
		return;
	walk_current(s, regs, st->tgid, st->exec_ns, false);
	if (pending_put(s, t, PENDING_WALKED))
		st->flags |= FOLDD_THREAD_WALKED;
	else
		st->flags |= FOLDD_THREAD_GATED;
}

/* Add one of a dead thread's totals to its process's. A function of its own: verified once. */
__noinline int add_exited(struct foldd_exited_key *of, struct foldd_total *what)
{
	struct foldd_exited_key key, nobody = {};
	struct foldd_total add, *sum;

	if (!of || !what)
		return 0;
	key = *of; /* Linux 6.1 takes keys and values from this function's own stack only */
	add = *what;
	sum = bpf_map_lookup_elem(&exited, &key);
	if (!sum) {
		if (!bpf_map_update_elem(&exited, &key, &add, BPF_NOEXIST))
			return 0;
		sum = bpf_map_lookup_elem(&exited, &key); /* another CPU was first, or it is full */
	}
	if (!sum) {
		/* nothing is lost but the process: user space has made these rows at the start */
		count_loss(FOLDD_KIND_OFFCPU, FOLDD_LOSS_EXITED_FULL, add.ns);
		nobody.reason = key.reason;
		sum = bpf_map_lookup_elem(&exited, &nobody);
	}
	if (!sum)
		return 0;
	__sync_fetch_and_add(&sum->ns, add.ns);
	__sync_fetch_and_add(&sum->count, add.count);
	return 0;
}

/* The thread is dead and will not be seen again: hand its exact totals on. */
static __always_inline void flush_totals(struct task_struct *t, struct foldd_thread *st)
{
	struct foldd_exited_key key = { .start_ns = t->group_leader->start_boottime,
					.tgid = st->tgid };
	struct foldd_total add = {};

	bpf_probe_read_kernel(add.comm, sizeof(add.comm), t->group_leader->comm);
	for (__u32 i = 0; i < FOLDD_REASON_MAX; i++) {
		add.count = st->count[i];
		if (!add.count)
			continue;
		key.reason = i;
		add.ns = st->ns[i];
		add_exited(&key, &add);
	}
}

/* A sampled wait of t has ended: take its kernel stack and send it, or wait for sys_exit. */
static __always_inline void sample(struct foldd_control *c, struct task_struct *t,
				   struct foldd_thread *st, __u64 now, __u64 waited,
				   __u64 run_queue, __u64 period)
{
	struct scratch *s = bpf_map_lookup_elem(&switch_scratch, &zero);
	struct pending_key key = { .tid = t->pid, .slot = PENDING_WALKED };
	struct pending *p = NULL;
	__u32 at = 0;

	if (!s)
		return;
	foldd_rate_count(c, now);
	__sync_fetch_and_add(&c->samples, 1);
	record_start(&s->rec, t, st, FOLDD_KIND_OFFCPU, now);
	s->rec.value_ns = waited;
	s->rec.run_queue_ns = run_queue;
	s->rec.period_ns = period;
	if (st->flags & FOLDD_THREAD_WALKED)
		p = bpf_map_lookup_elem(&pendings, &key);
	if (p) {
		bpf_probe_read_kernel(s->frames, sizeof(p->frames), p->frames);
		at = p->rec.n_user & (SCRATCH_FRAMES / 2 - 1);
		s->rec.n_user = at;
		s->rec.walk_end = p->rec.walk_end;
		s->rec.maps_as_of_ns = p->rec.maps_as_of_ns;
	}
	record_kernel_stack(s, t, at);
	if (st->flags & FOLDD_THREAD_SYSCALL) {
		if (st->n_pending < PENDING_PER_THREAD && pending_put(s, t, st->n_pending)) {
			st->n_pending++;
			__sync_fetch_and_add(&c->pending, 1);
			return;
		}
		count_loss(FOLDD_KIND_OFFCPU, FOLDD_LOSS_PENDING_FULL,
			   foldd_weight_estimate(waited, period));
		s->rec.walk_end = FOLDD_WALK_RATE;
	} else if (st->flags & FOLDD_THREAD_GATED) {
		s->rec.walk_end = FOLDD_WALK_RATE;
	} else if (t->flags & PF_EXITING) {
		s->rec.walk_end = FOLDD_WALK_EXITED;
	} else if (!p && !(st->flags & FOLDD_THREAD_KTHREAD)) {
		s->rec.walk_end = FOLDD_WALK_BLOCKED;
	}
	record_send(&s->rec);
}

/* The wait from out to now, into the exact counters. Returns its part after the wake-up. */
static __always_inline __u64 count_wait(struct foldd_thread *st, __u64 out, __u64 now)
{
	__u64 run_queue = st->waking_ns >= out && st->waking_ns < now ? now - st->waking_ns : 0;

	if (run_queue)
		add_time(st, FOLDD_REASON_RUN_QUEUE, run_queue);
	if (st->reason != FOLDD_REASON_RUN_QUEUE) /* a new thread has been runnable all along */
		add_time(st, st->reason, now - out - run_queue);
	return run_queue;
}

/*
 * The thread runs, yet its switch-in was never reported (seen on a guest's 6.18 with a plain
 * tp_btf program too, with no recursion counted). When it came in is in its sched_info, in the
 * run queues' clock; its wait is counted up to there, and sampled without a stack.
 */
static __always_inline void missed_switch_in(struct foldd_control *c, struct task_struct *t,
					     struct foldd_thread *st, __u64 now)
{
	__u64 out = st->clock_ns & ~1ULL, in, run_queue, period;
	struct scratch *s;

	in = t->sched_info.last_arrival + c->clock_offset_ns;
	if (!c->clock_offset_ns || in < out || in > now)
		in = st->waking_ns >= out ? st->waking_ns : now;
	count_loss(FOLDD_KIND_OFFCPU, FOLDD_LOSS_MISSED_SWITCH, 0);
	run_queue = count_wait(st, out, in);
	st->clock_ns = in | 1;
	period = foldd_period(c);
	if (!want_samples || !sample_take(c, st, in - out, period))
		return;
	s = bpf_map_lookup_elem(&switch_scratch, &zero);
	if (!s)
		return;
	foldd_rate_count(c, now);
	__sync_fetch_and_add(&c->samples, 1);
	record_start(&s->rec, t, st, FOLDD_KIND_OFFCPU, in);
	s->rec.value_ns = in - out;
	s->rec.run_queue_ns = run_queue;
	s->rec.period_ns = period;
	s->rec.walk_end = FOLDD_WALK_MISSED;
	record_send(&s->rec);
}

static __always_inline void switch_out(struct foldd_control *c, struct task_struct *t, bool preempt,
				       __u32 state, __u64 now)
{
	struct foldd_thread *st = bpf_task_storage_get(&threads, t, 0, 0);
	struct pt_regs *regs;

	if (!st)
		return;
	if (unlikely(st->clock_ns && !(st->clock_ns & 1))) {
		missed_switch_in(c, t, st, now);
	} else if (unlikely(c->offset_epoch != now >> OFFSET_EPOCH_SHIFT) &&
		   st->count[FOLDD_REASON_RUNNING]) {
		/* it came in at clock_ns here and at last_arrival there */
		c->offset_epoch = now >> OFFSET_EPOCH_SHIFT;
		c->clock_offset_ns = (st->clock_ns & ~1ULL) - t->sched_info.last_arrival;
	}
	if (st->clock_ns)
		add_time(st, FOLDD_REASON_RUNNING, now - (st->clock_ns & ~1ULL));
	st->clock_ns = now & ~1ULL;
	st->waking_ns = 0;
	st->flags &= FOLDD_THREAD_KTHREAD;
	if (unlikely(state & TASK_DEAD)) {
		flush_totals(t, st);
		st->flags |=
			FOLDD_THREAD_GONE; /* as a zombie it is still there for the closing pass */
		return;
	}
	regs = (struct pt_regs *)bpf_task_pt_regs(t);
	if (preempt || !state)
		st->reason = FOLDD_REASON_PREEMPTED;
	else
		st->reason = wait_reason(t, MEMORY_OWN, regs, state);
	if ((st->flags & FOLDD_THREAD_KTHREAD) || (t->flags & PF_EXITING))
		return;
	if (likely((long)regs->orig_ax >= 0))
		st->flags |= FOLDD_THREAD_SYSCALL;
	else if (want_samples)
		walk_at_switch_out(c, t, st, regs, now);
}

static __always_inline void switch_in(struct foldd_control *c, struct task_struct *t, __u64 now)
{
	struct foldd_thread *st = bpf_task_storage_get(&threads, t, 0, 0);
	struct pending_key walked = { .tid = t->pid, .slot = PENDING_WALKED };
	__u64 out, waited, run_queue, period;

	if (!st)
		return;
	out = st->clock_ns & ~1ULL;
	if (unlikely(st->clock_ns &
		     1)) { /* its switch-out was never reported: nobody knows why it waited */
		count_loss(FOLDD_KIND_OFFCPU, FOLDD_LOSS_MISSED_SWITCH, 0);
		st->reason = FOLDD_REASON_UNCLASSIFIED;
		st->waking_ns = 0;
		st->flags &= FOLDD_THREAD_KTHREAD;
	}
	st->clock_ns = now | 1;
	if (!out)
		return;
	waited = now - out;
	run_queue = count_wait(st, out, now);
	if (!want_samples)
		return;
	period = foldd_period(c);
	if (unlikely(sample_take(c, st, waited, period)))
		sample(c, t, st, now, waited, run_queue, period);
	if (unlikely(st->flags & FOLDD_THREAD_WALKED))
		bpf_map_delete_elem(&pendings, &walked);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct foldd_control *c = bpf_map_lookup_elem(&control, &zero);
	__u64 now = bpf_ktime_get_ns();
	__u32 state;

	if (!c || c->stop_ns)
		return 0;
	state = switch_has_state ? (__u32)ctx[3] : prev->__state;
	if (prev->pid)
		switch_out(c, prev, preempt, state, now);
	if (next->pid)
		switch_in(c, next, now);
	return 0;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(on_waking, struct task_struct *t)
{
	struct foldd_thread *st = bpf_task_storage_get(&threads, t, 0, 0);

	/* the first waker counts; a wake-up of a thread that still runs is none */
	if (st && !(st->clock_ns & 1) && !st->waking_ns)
		st->waking_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs)
{
	struct foldd_control *c = bpf_map_lookup_elem(&control, &zero);
	struct task_struct *t;
	struct foldd_thread *st;
	struct scratch *s;
	__u32 count;

	/* the common case must be cheap: every system call of the host comes by */
	if (likely(!c || c->pending <= 0))
		return 0;
	t = bpf_get_current_task_btf();
	st = bpf_task_storage_get(&threads, t, 0, 0);
	s = bpf_map_lookup_elem(&exit_scratch, &zero);
	if (!st || !st->n_pending || !s)
		return 0;
	count = __sync_lock_test_and_set(&st->n_pending, 0); /* the closing pass may come first */
	if (!count)
		return 0;
	walk_current(s, (struct pt_regs *)bpf_task_pt_regs(t), st->tgid, st->exec_ns, true);
	pending_send(s, c, t->pid, count, walked_save(s));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
