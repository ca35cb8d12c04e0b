// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/* On-CPU samples: one cpu-clock perf event per CPU, at a fixed rate, targets only. */
#include "lib/maps.bpf.h"
#include "lib/compat.bpf.h"
#include "lib/unwind.bpf.h"
#include "lib/emit.bpf.h"
#include <bpf/bpf_tracing.h>

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} cpu_scratch SEC(".maps");

SEC("perf_event")
int on_cpu_clock(struct bpf_perf_event_data *ctx)
{
	struct foldd_control *c = bpf_map_lookup_elem(&control, &zero);
	struct task_struct *t = bpf_get_current_task_btf();
	struct foldd_thread *st;
	struct scratch *s;
	__u32 at;
	long n;

	if (!c || c->stop_ns || !t->pid)
		return 0;
	st = bpf_task_storage_get(&threads, t, 0, 0);
	s = bpf_map_lookup_elem(&cpu_scratch, &zero);
	if (!st || !s)
		return 0;
	record_start(&s->rec, t, st, FOLDD_KIND_CPU, bpf_ktime_get_ns());
	s->rec.reason = FOLDD_REASON_RUNNING;
	s->rec.value_ns = c->cpu_period_ns;
	s->rec.period_ns = 0;
	if (!(st->flags & FOLDD_THREAD_KTHREAD))
		walk_current(s, (struct pt_regs *)bpf_task_pt_regs(t), st->tgid, st->exec_ns,
			     false);
	at = s->rec.n_user;
	if (at > SCRATCH_FRAMES / 2 - 1)
		at = SCRATCH_FRAMES / 2 - 1;
	s->rec.n_user = at;
	n = bpf_get_stack(ctx, &s->frames[at], FOLDD_MAX_KERNEL_FRAMES * sizeof(__u64), 0);
	s->rec.n_kernel = n > 0 ? (__u16)((__u32)n >> 3) : 0;
	record_send(&s->rec);
	__sync_fetch_and_add(&c->samples, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
