/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The walk over a user stack: one step function, verified once and called from a bounded loop. A
 * step turns the present address into a frame, (object, offset) where the process is in the table,
 * finds the unwind rule for it (the frame pointer where there is none), and says which words it
 * wants to see; the caller reads them, since that differs between one's own stack and another's.
 */
#ifndef FOLDD_UNWIND_BPF_H
#define FOLDD_UNWIND_BPF_H

#include "mapping.bpf.h"

#define WALK_STEPS (2 * FOLDD_MAX_USER_FRAMES) /* a dereferencing rule takes two */

/* The rule for the code at a file offset: CFI_CFA_NONE where no table says anything. */
static __always_inline void find_rule(struct scratch *s, __u32 object, __u64 offset)
{
	const struct foldd_tables *t = bpf_map_lookup_elem(&tables, &zero);
	const struct foldd_object *o;
	const struct foldd_page *page;
	const struct foldd_chunk *rows;
	__u64 pos, idx, probe, before, inside, n, step, low = offset & 0xffff;
	__u32 chunk, at, row;
	void *inner;

	s->walk.rule.cfa_type = CFI_CFA_NONE;
	if (!t)
		return;
	o = &t->objects[object & (FOLDD_MAX_OBJECTS - 1)];
	at = (__u32)(offset >> 16) - o->low;
	if (at >= o->n)
		return;
	at += o->first_page;
	page = &t->pages[at & (FOLDD_MAX_PAGES - 1)];
	n = page->n;
	step = page->step;
	chunk = page->row / FOLDD_CHUNK_ROWS;
	pos = page->row & (FOLDD_CHUNK_ROWS - 1);
	if (!n)
		return;
	inner = bpf_map_lookup_elem(&chunks, &chunk);
	if (!inner)
		return;
	rows = bpf_map_lookup_elem(inner, &zero);
	if (!rows)
		return;
	/* without branches, as in search_mapping: the last row at or below the low 16 bits */
	n += pos;
	for (int i = 0; i < 16; i++) {
		if (!step)
			break;
		idx = pos + step;
		probe = idx;
		OPAQUE(probe);
		probe &= FOLDD_CHUNK_ROWS - 1;
		before = ((__u64)(rows->rows[probe] >> 16) - low - 1) >> 63;
		OPAQUE(before);
		inside = (idx - n) >> 63;
		OPAQUE(inside);
		pos += step * (before & inside);
		OPAQUE(pos);
		step >>= 1;
	}
	row = rows->rows[pos & (FOLDD_CHUNK_ROWS - 1)];
	s->walk.rule = t->rules[row & (FOLDD_MAX_RULES - 1)];
}

static __always_inline int walk_end(struct scratch *s, __u8 end)
{
	s->end = end;
	return 1;
}

/* No rule: the frame pointer, if there is reason to believe in it. */
static __always_inline int step_frame_pointer(struct scratch *s)
{
	if (!s->walk.bp && !s->walk.lost) /* with no frame before, nobody has set it yet */
		return walk_end(s, s->n > 1 ? FOLDD_WALK_ROOT : FOLDD_WALK_BAD_FRAME);
	if (foldd_apply_frame_pointer(&s->walk) != FOLDD_STEP_READ)
		return walk_end(s, FOLDD_WALK_BAD_FRAME);
	s->by_frame_pointer = FOLDD_WALK_BY_FRAME_POINTER;
	return 0;
}

#define URETPROBES_MAX 64 /* MAX_URETPROBE_DEPTH, include/linux/uprobes.h */

/* Before the first hijacked frame of a walk: is there a trampoline, and what has it taken over? */
static __always_inline void find_trampoline(struct scratch *s)
{
	struct task_struct *t = (struct task_struct *)s->task;
	struct xol_area *area = NULL;
	struct uprobe_task *utask = NULL;

	s->trampoline = 1;
	if (!bpf_core_field_exists(t->utask) || !bpf_core_field_exists(area->vaddr) ||
	    !bpf_core_field_exists(utask->return_instances))
		return;
	area = BPF_CORE_READ(t, mm, uprobes_state.xol_area);
	utask = BPF_CORE_READ(t, utask);
	if (!area || !utask)
		return;
	s->trampoline = BPF_CORE_READ(area, vaddr);
	s->instance = (__u64)BPF_CORE_READ(utask, return_instances);
}

/*
 * A uretprobe has put the address of its trampoline where the function's return address was; the
 * kernel keeps that one in a list of the thread's, innermost first, with where it was. 1: the
 * walk was at the trampoline and now is at the true return address. The list of a thread that runs
 * may change while it is read; reading it cannot fault, and an instance only counts for the place
 * of the stack that it was made for.
 */
__noinline int walk_hijacked(struct scratch *s)
{
	struct return_instance *ri;

	if (!s)
		return 0;
	if (!s->trampoline)
		find_trampoline(s);
	if (s->walk.exact || s->walk.ip != s->trampoline)
		return 0;
	ri = (struct return_instance *)s->instance;
	for (int i = 0; i < URETPROBES_MAX && ri; i++) {
		__u64 stack = BPF_CORE_READ(ri, stack), address = BPF_CORE_READ(ri, orig_ret_vaddr);
		bool chained = BPF_CORE_READ(ri, chained);

		ri = BPF_CORE_READ(ri, next);
		s->instance = (__u64)ri;
		/* chained: a tail call; the instance that follows knows the caller */
		if (!chained && stack == s->walk.want[0]) {
			s->walk.ip = address;
			return 1;
		}
	}
	return 0;
}

/*
 * One step: take the words that were wanted, append the frame for the address that they lead to,
 * apply the rule for it. 0: read what walk.want says and come again; 1: the walk has ended as
 * s->end says.
 */
__noinline int walk_step(struct scratch *s)
{
	const struct foldd_mapping *m = NULL;
	__u64 address, frame;
	__u32 n, at;

	if (!s)
		return 1;
	n = s->n;
	if (s->walk.phase != FOLDD_PHASE_START) {
		enum foldd_step step = foldd_take_words(&s->walk);

		if (step == FOLDD_STEP_READ)
			return 0;
		if (step == FOLDD_STEP_NO_PROGRESS)
			return walk_end(s, FOLDD_WALK_NO_PROGRESS);
		if (!s->walk.ip)
			return walk_end(s, FOLDD_WALK_ROOT);
	}
	if (n >= FOLDD_MAX_USER_FRAMES)
		return walk_end(s, FOLDD_WALK_TOO_DEEP);
	/* a return address may be the first of the next function: look up the call before it */
	address = s->walk.ip - (s->walk.exact ? 0 : 1);
	if (!(address >> USER_ADDRESS_BITS))
		m = s->raw ? NULL : mapping_of(s, address);
	if (!m && !(address >> USER_ADDRESS_BITS))
		m = ask_kernel(s, address);
	if ((!m || !m->object) && !s->walk.exact && walk_hijacked(s)) {
		s->walk.phase = FOLDD_PHASE_START; /* from there, then: nothing to read before */
		s->walk.want[0] = 0;
		return 0;
	}
	if (address >> USER_ADDRESS_BITS)
		return walk_end(s, n ? FOLDD_WALK_BAD_FRAME : FOLDD_WALK_NO_MAPPING);
	frame = address;
	if (!m && n && (!s->raw || s->ask_kernel)) /* not code: whatever led here was wrong */
		return walk_end(s, FOLDD_WALK_BAD_FRAME);
	/*
	 * Test and use one register. Clang puts a 0 into a copy of m where it found m to be
	 * NULL, and Linux 6.1's verifier believes that a pointer into the scratch (mem) may still
	 * be NULL, so that it gets from that test to the use of the copy.
	 */
	OPAQUE(m);
	if (m && m->object)
		frame = FOLDD_FRAME_OBJECT | (__u64)m->object << FOLDD_FRAME_ID_SHIFT |
			((address - m->bias) & FOLDD_FRAME_OFFSET_MAX);
	at = n;
	OPAQUE(at);
	at &= SCRATCH_FRAMES - 1;
	s->frames[at] = frame;
	s->n = n + 1;
	if (!m && (!s->raw || s->ask_kernel))
		return walk_end(s, FOLDD_WALK_NO_MAPPING);
	s->walk.rule.cfa_type = CFI_CFA_NONE;
	OPAQUE(m);
	if (m && m->object)
		find_rule(s, m->object, address - m->bias);
	/* nobody has called the signal trampoline: it is at its first instruction, not after one */
	if (s->walk.rule.cfa_type == CFI_CFA_SIGNAL && !s->walk.exact)
		s->frames[at] = frame + 1;
	switch (foldd_apply_rule(&s->walk)) {
	case FOLDD_STEP_READ:
		return 0;
	case FOLDD_STEP_STOP:
		return walk_end(s, FOLDD_WALK_ROOT);
	case FOLDD_STEP_FRAME_POINTER:
		return step_frame_pointer(s);
	case FOLDD_STEP_NO_PROGRESS:
		return walk_end(s, FOLDD_WALK_NO_PROGRESS);
	default:
		return walk_end(s, FOLDD_WALK_UNSUPPORTED);
	}
}

/* Read what the walk wants of the current thread's own memory. */
__noinline int walk_read(struct scratch *s)
{
	if (!s)
		return 1;
	for (int i = 0; i < 3; i++) {
		__u64 address = s->walk.want[i], word;

		if (!address)
			break;
		word = (address - s->window_base) >> 3;
		if (word < WINDOW_WORDS && !(address & 7))
			s->walk.got[i] = s->window[word & (WINDOW_WORDS - 1)];
		else if (bpf_probe_read_user(&s->walk.got[i], sizeof(s->walk.got[i]),
					     (void *)address))
			return walk_end(s, FOLDD_WALK_UNREADABLE);
	}
	return 0;
}

/*
 * Several steps of a walk over one's own stack. Verified once, so that the loop around it, which
 * the verifier follows turn by turn, is short.
 */
#define STEPS_AT_ONCE 16

__noinline int walk_steps(struct scratch *s)
{
	for (int i = 0; i < STEPS_AT_ONCE; i++)
		if (walk_step(s) || walk_read(s))
			return 1;
	return 0;
}

/* Start a walk at these registers; frames go to s->frames. False: there is nothing to walk. */
static __always_inline bool walk_start(struct scratch *s, struct task_struct *t,
				       struct pt_regs *regs, __u32 tgid, __u64 exec_ns)
{
	struct foldd_proc *proc;

	s->n = 0;
	s->by_frame_pointer = 0;
	s->task = (__u64)t;
	s->trampoline = 0;
	s->rec.maps_as_of_ns = 0;
	if (regs->cs == USER_CS32) {
		s->end = FOLDD_WALK_COMPAT;
		return false;
	}
	s->walk.ip = regs->ip;
	s->walk.sp = regs->sp;
	s->walk.bp = regs->bp;
	s->walk.di = regs->di;
	s->walk.phase = FOLDD_PHASE_START;
	s->walk.exact = 1;
	s->walk.lost = 0;
	s->end = FOLDD_WALK_TOO_DEEP;
	s->raw = 1;
	s->vma.start = s->vma.end = 0;
	s->ask_kernel = has_maple_tree() ? ASK_TREE : ASK_NOBODY;
	proc = bpf_map_lookup_elem(&procs, &tgid);
	/* a table from before the last exec describes another program */
	if (proc && proc->as_of_ns >= exec_ns && proc->count) {
		s->raw = 0;
		s->first = s->cached = proc->first;
		s->count = proc->count;
		s->rec.maps_as_of_ns = proc->as_of_ns;
	}
	return true;
}

/* Note how the walk ended, in the record and in the counters. */
static __always_inline void walk_finish(struct scratch *s)
{
	struct walk_count *c = bpf_map_lookup_elem(&walks, &zero);
	__u32 end = s->end;

	s->rec.walk_end = end | s->by_frame_pointer;
	s->rec.n_user = s->n;
	if (c)
		c->ends[end & (FOLDD_WALK_END_MAX - 1)]++;
}

/* The stack of the current thread, whose memory is mapped now. irqs_on: interrupts are enabled. */
static __always_inline void walk_current(struct scratch *s, struct pt_regs *regs, __u32 tgid,
					 __u64 exec_ns, bool irqs_on)
{
	if (walk_start(s, bpf_get_current_task_btf(), regs, tgid, exec_ns)) {
		if (irqs_on && has_find_vma && !s->ask_kernel)
			s->ask_kernel = ASK_HELPER;
		s->window_base = s->walk.sp & ~7ULL;
		if (bpf_probe_read_user(s->window, sizeof(s->window), (void *)s->window_base))
			s->window_base = ~0ULL << 60; /* word by word then */
		for (int i = 0; i <= WALK_STEPS / STEPS_AT_ONCE; i++)
			if (walk_steps(s))
				break;
	}
	walk_finish(s);
}

#endif
