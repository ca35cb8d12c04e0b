// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/* The least that a program at sched_switch can cost: the yardstick for those that do something. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/sched_switch")
int empty(void *ctx)
{
	(void)ctx;
	return 0;
}
