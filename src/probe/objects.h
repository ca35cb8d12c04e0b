/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The BPF objects of one recording: configured, loaded with one set of shared maps, attached.
 * Private to probe/.
 */
#ifndef FOLDD_PROBE_OBJECTS_H
#define FOLDD_PROBE_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

/* What the programs are configured with before they are verified. */
struct probe_constants {
	uint32_t self_tgid, worker_tgid, pidns_inum, target_mode;
	uint64_t target_cgroup;
	uint32_t target_cgroup_level;
	bool switch_has_state, sleepable_iter, find_vma, rdonly_cast;
	bool want_offcpu, want_cpu;
};

struct probe_objects;

int probe_objects_load(const struct probe_constants *k, struct probe_objects **ret,
		       struct err *e) __must_check;
int probe_objects_attach(struct probe_objects *o, struct err *e) __must_check;
void probe_objects_detach(struct probe_objects *o);
struct probe_objects *probe_objects_free(struct probe_objects *o);
/* Descriptor of a map by name; -1 where there is none. */
int probe_objects_map(const struct probe_objects *o, const char *name);
uint64_t probe_objects_map_bytes(const struct probe_objects *o);
/* Run an iterator to its end; fn gets what each read returns. */
int probe_objects_iterate(struct probe_objects *o, const char *program,
			  void (*fn)(void *ctx, const void *data, size_t len), void *ctx,
			  struct err *e) __must_check;

#endif
