/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The mapping that covers an address of a process: from its run in the pool, which user space has
 * published, or, where that is too old, from the kernel itself.
 */
#ifndef FOLDD_MAPPING_BPF_H
#define FOLDD_MAPPING_BPF_H

#include "maps.bpf.h"
#include "compat.bpf.h"

#define USER_ADDRESS_BITS 47

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

/* Mapping that covers the address, by index; false: none. */
static __always_inline const struct foldd_mapping *mapping_of(struct scratch *s, __u64 address)
{
	const struct foldd_pool *all = bpf_map_lookup_elem(&pool, &zero);
	const struct foldd_mapping *m;
	__u32 i;

	if (!all)
		return NULL;
	i = s->cached & (FOLDD_POOL_MAPPINGS - 1);
	m = &all->mappings[i];
	if (address >= m->start && address < m->end)
		return m;
	i = search_mapping(all->mappings, s->first, s->count, address);
	m = &all->mappings[i];
	if (address < m->start || address >= m->end)
		return NULL;
	s->cached = i;
	return m;
}

/* scratch.ask_kernel: how to find the mappings of a process that is in no table */
enum ask_kernel { ASK_NOBODY = 0, ASK_HELPER = 1, ASK_TREE = 2 };

/* bpf_find_vma: Linux 5.17, 7c7e3d31e785 */
const volatile bool has_find_vma = false;

/* A mapping as the kernel has it, in the form of the table. */
static long on_vma(struct task_struct *t, struct vm_area_struct *vma, void *data)
{
	struct foldd_mapping *m = data;
	struct foldd_inode key = {};
	struct inode *inode;
	__u32 *object;

	m->object = 0;
	m->start = m->end = 0;
	if (!(vma->vm_flags & VM_EXEC))
		return 0;
	m->start = vma->vm_start;
	m->end = vma->vm_end;
	m->bias = 0;
	if (!vma->vm_file)
		return 0;
	inode = vma->vm_file->f_inode;
	key.ino = inode->i_ino;
	key.dev = inode->i_sb->s_dev;
	object = bpf_map_lookup_elem(&inodes, &key);
	if (!object)
		return 0;
	m->object = *object;
	m->bias = vma->vm_start - (vma->vm_pgoff << 12);
	return 0;
}

#define MAPLE_DEPTH_MAX 8 /* 10 ways and more a level; 65,530 mappings take 5 */
#define MAPLE_PIVOTS    15
#define MAPLE_NODE_MASK 0xffULL

enum maple_type { MAPLE_LEAF = 1, MAPLE_RANGE = 2, MAPLE_ARANGE = 3 };

/*
 * One level down in the tree of mappings: s->node is an entry of the tree, a node with its type in
 * bits 3 to 6, and becomes the entry that covers the address. 0: go on, 1: it is a mapping (or
 * nothing). The tree may change while it is read: what is found is checked against the address,
 * and reading cannot fault.
 */
__noinline int maple_step(struct scratch *s, __u64 address)
{
	struct maple_arange_64 *arange;
	struct maple_range_64 *range;
	__u64 type, i, slot;
	void *node;

	if (!s)
		return 1;
	type = s->node >> 3 & 0xf;
	node = (void *)(s->node & ~MAPLE_NODE_MASK);
	range = node;
	arange = node;
	s->node = 0;
	if (type == MAPLE_ARANGE) {
		__builtin_memset(s->pivots, 0, sizeof(s->pivots));
		bpf_core_read(s->pivots, sizeof(arange->pivot), &arange->pivot);
	} else if (type == MAPLE_LEAF || type == MAPLE_RANGE) {
		bpf_core_read(s->pivots, sizeof(range->pivot), &range->pivot);
	} else {
		return 1;
	}
	/* slot i ends at pivot i; a pivot of 0 (but the first) says that the slot is the last one
	 */
	for (i = 0; i < MAPLE_PIVOTS; i++)
		if (address <= s->pivots[i] || (i && !s->pivots[i]))
			break;
	if (type == MAPLE_ARANGE)
		slot = (__u64)&arange->slot;
	else
		slot = (__u64)&range->slot;
	bpf_probe_read_kernel(&s->node, sizeof(s->node), (void *)(slot + i * sizeof(void *)));
	return type == MAPLE_LEAF;
}

/* The mapping that covers the address, from the kernel's own tree, as s->vma. */
__noinline int read_vma(struct scratch *s, __u64 address)
{
	struct foldd_mapping *m;
	struct vm_area_struct *vma;
	struct foldd_inode key = {};
	struct task_struct *t;
	struct inode *inode;
	__u32 *object;

	if (!s)
		return 0;
	m = &s->vma;
	m->start = m->end = m->bias = 0;
	m->object = 0;
	t = (struct task_struct *)s->task;
	s->node = (__u64)BPF_CORE_READ(t, mm, mm_mt.ma_root);
	/* an internal entry, and no small number, which would be an error */
	if ((s->node & 3) != 2 || s->node < 4096)
		return 0;
	for (int i = 0; i < MAPLE_DEPTH_MAX; i++)
		if (maple_step(s, address))
			break;
	vma = (struct vm_area_struct *)s->node;
	if (!vma || !(BPF_CORE_READ(vma, vm_flags) & VM_EXEC))
		return 0;
	m->start = BPF_CORE_READ(vma, vm_start);
	m->end = BPF_CORE_READ(vma, vm_end);
	inode = BPF_CORE_READ(vma, vm_file, f_inode);
	if (!inode)
		return 0;
	key.ino = BPF_CORE_READ(inode, i_ino);
	key.dev = BPF_CORE_READ(inode, i_sb, s_dev);
	object = bpf_map_lookup_elem(&inodes, &key);
	if (object) {
		m->object = *object;
		m->bias = m->start - (BPF_CORE_READ(vma, vm_pgoff) << 12);
	}
	return 0;
}

static __always_inline bool has_maple_tree(void)
{
	struct mm_struct *mm = NULL;

	return bpf_core_field_exists(mm->mm_mt);
}

/*
 * The process, or its mapping, is too new to be in the table: ask the kernel itself. Its tree is
 * read where there is one; bpf_find_vma is for older kernels, since it fails whenever somebody
 * changes the mappings, and after its first use where interrupts are off.
 */
static __always_inline const struct foldd_mapping *ask_kernel(struct scratch *s, __u64 address)
{
	const struct foldd_mapping *m = &s->vma;
	struct foldd_mapping answer = {}; /* the helper takes nothing but stack memory */

	if (!s->ask_kernel)
		return NULL;
	if (address >= m->start && address < m->end)
		return m;
	if (s->ask_kernel == ASK_TREE) {
		read_vma(s, address);
	} else {
		if (!has_find_vma ||
		    bpf_find_vma(bpf_get_current_task_btf(), address, on_vma, &answer, 0))
			return NULL;
		s->vma = answer;
	}
	return address >= m->start && address < m->end ? m : NULL;
}

#endif
