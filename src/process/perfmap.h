/* SPDX-License-Identifier: BSD-2-Clause */
/* perf-PID.map: what a JIT compiler says where its functions are. Hostile text. */
#ifndef FOLDD_PERFMAP_H
#define FOLDD_PERFMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"

#define PERFMAP_BYTES_MAX (64 << 20)
#define PERFMAP_SYMBOLS_MAX                                                                        \
	500000                /* more: no names, since later lines may replace earlier ones        \
			       */
#define PERFMAP_NAME_MAX 1024 /* longer names are cut */

struct perfmap;

/* Lines "HEXSTART HEXSIZE name"; others are skipped. Where ranges overlap the later line wins. */
int perfmap_parse(const char *text, size_t len, struct perfmap **ret) __must_check;
/* The whole file from its start, up to PERFMAP_BYTES_MAX. -EFBIG past that, -ENOENT when empty. */
int perfmap_read(int fd, struct perfmap **ret) __must_check;
struct perfmap *perfmap_free(struct perfmap *m);
DEFINE_CLEANUP(struct perfmap *, perfmap_free)
size_t perfmap_count(const struct perfmap *m);
size_t perfmap_bytes(const struct perfmap *m);
/* The name, raw and not terminated, or NULL. */
const char *perfmap_find(const struct perfmap *m, uint64_t address, size_t *ret_len);

#endif
