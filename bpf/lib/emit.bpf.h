/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* The one way out: filling a record's head and sending it through the ring. */
#ifndef FOLDD_EMIT_BPF_H
#define FOLDD_EMIT_BPF_H

#include "maps.bpf.h"
#include "compat.bpf.h"
#include <foldd/sample.h>

/* The sampler's decision over a wait of st that is drawn with this period. */
static __always_inline bool sample_take(const struct foldd_control *c, struct foldd_thread *st,
					__u64 size, __u64 period)
{
	if (!foldd_sample_test(&st->until, size, period, foldd_period_inverse(c, period)))
		return false;
	st->until = foldd_sample_distance(bpf_get_prandom_u32());
	return true;
}

static __always_inline void record_start(struct foldd_record *r, struct task_struct *t,
					 const struct foldd_thread *st, __u8 kind, __u64 now)
{
	r->kind = kind;
	r->flags = st->flags & FOLDD_THREAD_KTHREAD ? FOLDD_RECORD_KTHREAD : 0;
	r->reason = st->reason;
	r->walk_end = FOLDD_WALK_NO_USER;
	r->n_kernel = 0;
	r->n_user = 0;
	r->tgid = st->tgid;
	r->tid = st->tid;
	r->time_ns = now;
	r->run_queue_ns = 0;
	r->maps_as_of_ns = 0;
	r->start_ns = t->group_leader->start_boottime;
	bpf_probe_read_kernel(r->comm, sizeof(r->comm), t->group_leader->comm);
	bpf_probe_read_kernel(r->thread_comm, sizeof(r->thread_comm), t->comm);
}

/* Kernel stack of a task that does not run now, to s->frames[at...]. */
static __always_inline void record_kernel_stack(struct scratch *s, struct task_struct *t, __u32 at)
{
	long n;

	at &= SCRATCH_FRAMES / 2 - 1;
	n = bpf_get_task_stack(t, &s->frames[at], FOLDD_MAX_KERNEL_FRAMES * sizeof(__u64), 0);
	s->rec.n_kernel = n > 0 ? (__u16)((__u32)n >> 3) : 0;
}

static __always_inline void record_send(struct foldd_record *r)
{
	__u64 size = (__u32)r->n_kernel + r->n_user;
	__u64 flags;

	if (size > FOLDD_RECORD_MAX_FRAMES)
		size = FOLDD_RECORD_MAX_FRAMES;
	size = sizeof(*r) + size * sizeof(__u64);
	/* user space looks every few ms anyway: wake it early only when the ring fills up */
	flags = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > RING_WAKE ? BPF_RB_FORCE_WAKEUP
									: BPF_RB_NO_WAKEUP;
	if (bpf_ringbuf_output(&ring, r, size, flags))
		count_loss(r->kind, FOLDD_LOSS_RING_FULL,
			   foldd_weight_estimate(r->value_ns, r->period_ns));
}

/* How the user stack of a record came out; the same for all waits of one system call. */
struct walked {
	__u64 maps_as_of_ns;
	__u16 n_user;
	__u8 end;
};

static __always_inline struct walked walked_save(const struct scratch *s)
{
	return (struct walked){ .maps_as_of_ns = s->rec.maps_as_of_ns,
				.n_user = s->rec.n_user,
				.end = s->rec.walk_end };
}

/*
 * Send what thread t has pending. The user frames are in the scratch already and stay there; the
 * kernel frames of each wait are put behind them.
 */
static __always_inline void pending_send(struct scratch *s, struct foldd_control *c, __u32 tid,
					 __u32 count, struct walked w)
{
	struct pending_key key = { .tid = tid };
	struct pending *p;
	__u32 at = w.n_user & (SCRATCH_FRAMES / 2 - 1);

	if (w.n_user >= SCRATCH_FRAMES / 2)
		at = SCRATCH_FRAMES / 2 - 1; /* 256 frames: the last one gives way */
	for (__u32 i = 0; i < PENDING_PER_THREAD; i++) {
		if (i >= count)
			break;
		key.slot = i;
		p = bpf_map_lookup_elem(&pendings, &key);
		if (!p)
			continue;
		bpf_probe_read_kernel(&s->rec, sizeof(s->rec), &p->rec);
		bpf_probe_read_kernel(&s->frames[at], FOLDD_MAX_KERNEL_FRAMES * sizeof(__u64),
				      p->frames);
		s->rec.maps_as_of_ns = w.maps_as_of_ns;
		s->rec.n_user = at;
		s->rec.walk_end = w.end;
		record_send(&s->rec);
		bpf_map_delete_elem(&pendings, &key);
	}
	__sync_fetch_and_add(&c->pending, -(int)count);
}

#endif
