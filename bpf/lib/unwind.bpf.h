/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The walk over a user stack: one step function, verified once and called from a bounded loop.
 * A step turns the present address into a frame, (object, offset) where the process is in the
 * table, and checks the frame pointer before anybody follows it; the caller reads what the
 * frame pointer points at, since that differs between one's own stack and another thread's.
 */
#ifndef FOLDD_UNWIND_BPF_H
#define FOLDD_UNWIND_BPF_H

#include "maps.bpf.h"
#include "compat.bpf.h"

#define WALK_FRAME_BYTES_MAX (1 << 20) /* a larger frame means a wrong frame pointer */
#define USER_ADDRESS_BITS    47

/* Keep clang from turning the arithmetic back into branches, which the verifier would multiply. */
#define OPAQUE(x) asm volatile("" : "+r"(x))

#define SEARCH_STEP(step)                                                                          \
	{                                                                                          \
		idx = pos + (step);                                                                \
		probe = first + idx;                                                               \
		OPAQUE(probe);                                                                     \
		probe &= FOLDD_POOL_MAPPINGS - 1;                                                  \
		before = (maps[probe].start - address - 1) >> 63;                                  \
		OPAQUE(before);                                                                    \
		inside = (idx - count) >> 63;                                                      \
		OPAQUE(inside);                                                                    \
		pos += (step) * (before & inside);                                                 \
		OPAQUE(pos);                                                                       \
	}

/*
 * Index in the pool of the last mapping of the run that starts at or before the address. Twelve
 * steps without branches find it among FOLDD_PROC_MAPPINGS. Addresses must be below 2^47: the
 * comparison is the sign of a difference.
 */
static __always_inline __u32 search_mapping(const struct foldd_mapping *maps, __u64 first,
					    __u64 count, __u64 address)
{
	__u64 pos = 0, idx, probe, before, inside;

	SEARCH_STEP(2048)
	SEARCH_STEP(1024)
	SEARCH_STEP(512)
	SEARCH_STEP(256)
	SEARCH_STEP(128)
	SEARCH_STEP(64)
	SEARCH_STEP(32)
	SEARCH_STEP(16)
	SEARCH_STEP(8)
	SEARCH_STEP(4)
	SEARCH_STEP(2)
	SEARCH_STEP(1)
	return (__u32)((first + pos) & (FOLDD_POOL_MAPPINGS - 1));
}

/* The frame for an address: 0 when no mapping covers it. */
static __always_inline __u64 frame_of(struct scratch *s, __u64 address)
{
	const struct foldd_mapping *maps, *m;
	const struct foldd_pool *all;
	__u32 i;

	if (s->walk.raw)
		return address;
	all = bpf_map_lookup_elem(&pool, &zero);
	if (!all)
		return 0;
	maps = all->mappings;
	i = s->walk.cached & (FOLDD_POOL_MAPPINGS - 1);
	m = &maps[i];
	if (address < m->start || address >= m->end) {
		i = search_mapping(maps, s->walk.first, s->walk.count, address);
		m = &maps[i];
		if (address < m->start || address >= m->end)
			return 0;
		s->walk.cached = i;
	}
	if (!m->object)
		return address;
	return FOLDD_FRAME_OBJECT | (__u64)m->object << FOLDD_FRAME_ID_SHIFT |
	       ((address - m->bias) & FOLDD_FRAME_OFFSET_MAX);
}

/*
 * One step: append the frame for the present address, then check the frame pointer. 0: go on
 * with reading walk.pair from walk.bp; 1: the walk has ended as walk.end says.
 */
__noinline int walk_step(struct scratch *s)
{
	__u64 address, frame, bp;
	__u32 n, at;

	if (!s)
		return 1;
	n = s->walk.n;
	if (n) {
		/* what the caller has read: the frame before this one */
		s->walk.sp = s->walk.bp + 16;
		s->walk.bp = s->walk.pair[0];
		s->walk.ip = s->walk.pair[1];
		if (!s->walk.ip) {
			s->walk.end = FOLDD_WALK_ROOT;
			return 1;
		}
	}
	if (n >= FOLDD_MAX_USER_FRAMES) {
		s->walk.end = FOLDD_WALK_TOO_DEEP;
		return 1;
	}
	/* a return address may be the first of the next function: look up the call before it */
	address = s->walk.ip - (n ? 1 : 0);
	if (address >> USER_ADDRESS_BITS) {
		s->walk.end = n ? FOLDD_WALK_BAD_FRAME : FOLDD_WALK_NO_MAPPING;
		return 1;
	}
	frame = frame_of(s, address);
	if (!frame && n) { /* not code: the frame pointer was no frame pointer */
		s->walk.end = FOLDD_WALK_BAD_FRAME;
		return 1;
	}
	at = n;
	OPAQUE(at);
	at &= SCRATCH_FRAMES - 1;
	s->frames[at] = frame ? frame : address;
	s->walk.n = n + 1;
	bp = s->walk.bp;
	if (!bp) {
		/* with no link followed, a 0 only says that nobody has set the frame pointer */
		s->walk.end = n ? FOLDD_WALK_ROOT : FOLDD_WALK_BAD_FRAME;
		return 1;
	}
	if ((bp & 7) || bp < s->walk.sp || bp - s->walk.sp > WALK_FRAME_BYTES_MAX) {
		s->walk.end = frame ? FOLDD_WALK_BAD_FRAME : FOLDD_WALK_NO_MAPPING;
		return 1;
	}
	return 0;
}

/* Start a walk at these registers; frames go to s->frames. False: there is nothing to walk. */
static __always_inline bool walk_start(struct scratch *s, struct pt_regs *regs, __u32 tgid,
				       __u64 exec_ns)
{
	struct foldd_proc *proc;

	s->walk.n = 0;
	s->rec.maps_as_of_ns = 0;
	if (regs->cs == USER_CS32) {
		s->walk.end = FOLDD_WALK_COMPAT;
		return false;
	}
	s->walk.ip = regs->ip;
	s->walk.sp = regs->sp;
	s->walk.bp = regs->bp;
	s->walk.end = FOLDD_WALK_TOO_DEEP;
	s->walk.raw = 1;
	proc = bpf_map_lookup_elem(&procs, &tgid);
	/* a table from before the last exec describes another program */
	if (proc && proc->as_of_ns >= exec_ns && proc->count) {
		s->walk.raw = 0;
		s->walk.first = s->walk.cached = proc->first;
		s->walk.count = proc->count;
		s->rec.maps_as_of_ns = proc->as_of_ns;
	}
	return true;
}

/* Note how the walk ended, in the record and in the counters. */
static __always_inline void walk_finish(struct scratch *s)
{
	struct walk_count *c = bpf_map_lookup_elem(&walks, &zero);
	__u32 end = s->walk.end;

	s->rec.walk_end = end;
	s->rec.n_user = s->walk.n;
	if (c)
		c->ends[end & (FOLDD_WALK_END_MAX - 1)]++;
}

/* The stack of the current thread, whose memory is mapped now. */
static __always_inline void walk_current(struct scratch *s, struct pt_regs *regs, __u32 tgid,
					 __u64 exec_ns)
{
	if (walk_start(s, regs, tgid, exec_ns)) {
		for (int i = 0; i <= FOLDD_MAX_USER_FRAMES; i++) {
			if (walk_step(s))
				break;
			if (bpf_probe_read_user(s->walk.pair, sizeof(s->walk.pair),
						(void *)s->walk.bp)) {
				s->walk.end = FOLDD_WALK_UNREADABLE;
				break;
			}
		}
	}
	walk_finish(s);
}

#endif
