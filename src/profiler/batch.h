/* SPDX-License-Identifier: BSD-2-Clause */
/* Records between the ring and the fold: copied out, then taken in the order of their times. */
#ifndef FOLDD_BATCH_H
#define FOLDD_BATCH_H

#include <stdint.h>
#include <foldd/record.h>
#include "base/buf.h"

#define BATCH_BYTES_MAX (128 << 20) /* of one drain; the ring itself holds 8 MiB */

struct batch {
	struct buf bytes;
	struct buf order;    /* struct batch_entry */
	uint64_t refused;    /* records beyond the limit */
	uint64_t refused_ns; /* their size */
};

void batch_init(struct batch *b);
void batch_release(struct batch *b);
void batch_clear(struct batch *b);
void batch_add(struct batch *b, const struct foldd_record *r, size_t size);
void batch_sort(struct batch *b);
size_t batch_count(const struct batch *b);
const struct foldd_record *batch_get(const struct batch *b, size_t i);

#endif
