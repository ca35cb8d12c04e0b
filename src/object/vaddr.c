/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include "object.h"

static bool segment_vaddr(const struct object_info *info, uint64_t offset, bool executable,
			  uint64_t *ret_vaddr)
{
	for (size_t i = 0; i < info->n_segments; i++) {
		const struct object_segment *s = &info->segments[i];

		if (s->executable == executable && offset >= s->offset &&
		    offset - s->offset < s->size) {
			*ret_vaddr = s->vaddr + (offset - s->offset);
			return true;
		}
	}
	return false;
}

int object_vaddr(const struct object_info *info, uint64_t offset, uint64_t *ret_vaddr)
{
	if (segment_vaddr(info, offset, true, ret_vaddr) ||
	    segment_vaddr(info, offset, false, ret_vaddr))
		return 0;
	return -ENOENT;
}
