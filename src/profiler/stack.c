/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include "fold/weight.h"
#include "probe/probe.h"
#include "stack.h"

#define THREAD_NAME_MAX (FOLDD_COMM_LEN + 12) /* name, '-', tid */

static const char *const walk_markers[FOLDD_WALK_END_MAX] = {
#define X(id, n, key, frame) [n] = frame,
	FOLDD_WALK_ENDS(X)
#undef X
};

/* A stack while it is put together, root first. */
struct stack {
	struct fold *fold;
	uint32_t frames[FOLD_DEPTH_MAX];
	size_t n;
	bool full; /* the fold's quotas are reached */
};

static void push(struct stack *s, uint32_t type, uint32_t id, uint64_t where)
{
	struct frame f = { .type = type, .id = id, .where = where };
	uint32_t frame = fold_frame(s->fold, &f);

	if (frame == UINT32_MAX || s->n == FOLD_DEPTH_MAX)
		s->full = true;
	else
		s->frames[s->n++] = frame;
}

static void push_text(struct stack *s, uint32_t type, const char *text, size_t len)
{
	uint32_t id = fold_text(s->fold, text, len);

	if (id == UINT32_MAX)
		s->full = true;
	else
		push(s, type, id, 0);
}

static void push_thread(struct stack *s, const struct foldd_record *r)
{
	char name[THREAD_NAME_MAX];
	int n;

	n = snprintf(name, sizeof(name), "%.*s-%u", FOLDD_COMM_LEN, r->thread_comm, r->tid);
	push_text(s, FRAME_TEXT, name, (size_t)n);
}

/*
 * The walk looked the frame up in a table that may since have been overtaken: where another file
 * was mapped over a part of the process between the table and the walk, the frame only counts
 * when the mapping it was found by is still there.
 */
static bool overtaken(const struct foldd_record *r, const struct process *proc, uint32_t object,
		      uint64_t offset)
{
	if (!proc || proc->remapped_ns <= r->maps_as_of_ns || proc->remapped_ns > r->time_ns)
		return false;
	for (size_t i = 0; i < proc->n_mappings; i++) {
		const struct mapping *m = &proc->mappings[i];

		if (m->object == object && offset >= m->start - m->bias &&
		    offset < m->end - m->bias)
			return false;
	}
	return true;
}

/* A frame that left the kernel as an address: the process was not in the table, or JIT code. */
static void push_address(struct stack *s, struct process *proc, uint64_t address)
{
	const struct mapping *m = proc ? process_find(proc, address) : NULL;

	if (!m) {
		push(s, FRAME_ADDRESS, 0, address);
	} else if (m->object != OBJECT_NONE) {
		push(s, FRAME_USER, m->object, address - m->bias);
	} else {
		process_keep(proc);
		push(s, FRAME_JIT, proc->serial, address);
	}
}

/*
 * How many of the user frames (leaf first) to believe. Without a table the walk could not check
 * that a return address lies in code; now the mappings are known, and it ends where one does not.
 */
static size_t believable(const struct foldd_record *r, const struct process *proc, uint8_t *end)
{
	const uint64_t *frames = probe_frames(r);

	if (r->maps_as_of_ns || !proc || !proc->n_mappings)
		return r->n_user;
	for (size_t i = 1; i < r->n_user; i++)
		if (!(frames[i] & FOLDD_FRAME_OBJECT) && !process_find(proc, frames[i])) {
			*end = FOLDD_WALK_BAD_FRAME;
			return i;
		}
	return r->n_user;
}

static void push_user(struct stack *s, const struct foldd_record *r, struct process *proc,
		      struct stack_counts *counts)
{
	const uint64_t *frames = probe_frames(r);
	uint8_t end = r->walk_end & (FOLDD_WALK_END_MAX - 1);
	size_t n = believable(r, proc, &end);
	const char *marker = walk_markers[end];

	counts->walk_ends[end]++;
	counts->by_frame_pointer += (r->walk_end & FOLDD_WALK_BY_FRAME_POINTER) != 0;
	if (marker)
		push_text(s, FRAME_MARKER, marker, strlen(marker));
	while (n--) {
		uint32_t object = frames[n] >> FOLDD_FRAME_ID_SHIFT & FOLDD_FRAME_ID_MAX;
		uint64_t offset = frames[n] & FOLDD_FRAME_OFFSET_MAX;

		if (!(frames[n] & FOLDD_FRAME_OBJECT)) {
			push_address(s, proc, frames[n]);
		} else if (overtaken(r, proc, object, offset)) {
			counts->remapped.count++;
			push_text(s, FRAME_MARKER, "[remapped]", strlen("[remapped]"));
		} else {
			push(s, FRAME_USER, object, offset);
		}
	}
}

static void push_kernel(struct stack *s, const struct foldd_record *r)
{
	const uint64_t *frames = probe_frames(r) + r->n_user;

	/* all but the leaf are return addresses: name the call before them */
	for (size_t n = r->n_kernel; n--;)
		push(s, FRAME_KERNEL, 0, frames[n] - (n ? 1 : 0));
}

static void add(struct stack *s, enum fold_value value, const struct fold_weight *w,
		struct stack_counts *counts)
{
	if (s->full || fold_add(s->fold, value, s->frames, s->n, w)) {
		counts->stacks_full.count++;
		counts->stacks_full.weight += (uint64_t)w->weight;
		if (s->full) { /* a stack without frames: fold_add keeps the weight for the sum */
			s->n = 0;
			s->full = false;
			push_text(s, FRAME_MARKER, "[stacks table full]", 19);
			(void)fold_add(s->fold, value, s->frames, s->n, w);
		}
	}
}

/* One wait is two: what it waited for, and the run queue after the wake-up. */
static void add_wait(struct stack *s, const struct foldd_record *r, struct stack_counts *counts)
{
	struct fold_weight w = weight_of(r->value_ns, r->period_ns), part = w;
	double share = r->value_ns ? (double)r->run_queue_ns / (double)r->value_ns : 0;
	size_t n = s->n;

	if (share < 0 || share > 1)
		share = 1;
	part.samples = 1;
	part.weight = w.weight * (1 - share);
	part.variance = w.variance * (1 - share) * (1 - share);
	if (r->reason != FOLDD_REASON_RUN_QUEUE && share < 1) {
		push(s, FRAME_REASON, r->reason, 0);
		add(s, FOLD_OFFCPU, &part, counts);
		part.samples = 0; /* the second line belongs to the same sample */
		s->n = n;
	}
	part.weight = w.weight - (r->reason != FOLDD_REASON_RUN_QUEUE ? part.weight : 0);
	part.variance = w.variance * share * share;
	if (part.weight > 0 && share > 0) {
		push(s, FRAME_REASON, FOLDD_REASON_RUN_QUEUE, 0);
		add(s, FOLD_OFFCPU, &part, counts);
	}
}

void stack_fold(struct fold *f, const struct stack_options *o, struct stack_counts *counts,
		const struct foldd_record *r, struct process *proc)
{
	struct stack s = { .fold = f };
	struct fold_weight w;

	push_text(&s, FRAME_TEXT, r->comm, strnlen(r->comm, FOLDD_COMM_LEN));
	if (o->threads)
		push_thread(&s, r);
	push_user(&s, r, proc, counts);
	if (!o->no_kernel)
		push_kernel(&s, r);
	if (r->kind == FOLDD_KIND_OFFCPU) {
		add_wait(&s, r, counts);
		return;
	}
	w = (struct fold_weight){ .weight = (double)r->value_ns, .samples = 1 };
	add(&s, FOLD_CPU, &w, counts);
}
