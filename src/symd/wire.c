/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "protocol.h"

void symd_info_pack(const struct object_info *info, struct symd_info *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->machine = info->machine;
	ret->type = info->type;
	ret->has_symtab = info->has_symtab;
	ret->build_id_len = info->build_id_len;
	ret->n_segments = (uint16_t)info->n_segments;
	ret->debuglink_crc = info->debuglink_crc;
	memcpy(ret->build_id, info->build_id, sizeof(ret->build_id));
	memcpy(ret->debuglink, info->debuglink, sizeof(ret->debuglink));
	for (size_t i = 0; i < info->n_segments; i++) {
		const struct object_segment *s = &info->segments[i];

		ret->segments[i] = (struct symd_segment){ .offset = s->offset,
							  .size = s->size,
							  .vaddr = s->vaddr,
							  .vsize = s->vsize,
							  .executable = s->executable };
	}
}

static bool segment_holds(const struct symd_segment *s)
{
	uint64_t end;

	return s->executable <= 1 && !__builtin_add_overflow(s->offset, s->size, &end) &&
	       !__builtin_add_overflow(s->vaddr, s->size, &end) &&
	       !__builtin_add_overflow(s->vaddr, s->vsize, &end);
}

/* The name becomes part of a path that foldd opens. */
static bool debuglink_holds(const char *name)
{
	return memchr(name, '\0', OBJECT_DEBUGLINK_MAX) && !strchr(name, '/') &&
	       strcmp(name, ".") && strcmp(name, "..");
}

int symd_info_unpack(const struct symd_info *info, struct object_info *ret)
{
	if (info->has_symtab > 1 || info->build_id_len > OBJECT_BUILD_ID_MAX ||
	    info->n_segments > OBJECT_SEGMENTS_MAX || !debuglink_holds(info->debuglink))
		return -EBADMSG;
	for (size_t i = 0; i < info->n_segments; i++)
		if (!segment_holds(&info->segments[i]))
			return -EBADMSG;
	memset(ret, 0, sizeof(*ret));
	ret->machine = info->machine;
	ret->type = info->type;
	ret->has_symtab = info->has_symtab;
	ret->build_id_len = info->build_id_len;
	ret->n_segments = info->n_segments;
	ret->debuglink_crc = info->debuglink_crc;
	memcpy(ret->build_id, info->build_id, info->build_id_len);
	memcpy(ret->debuglink, info->debuglink, strlen(info->debuglink) + 1);
	for (size_t i = 0; i < info->n_segments; i++) {
		const struct symd_segment *s = &info->segments[i];

		ret->segments[i] = (struct object_segment){ .offset = s->offset,
							    .size = s->size,
							    .vaddr = s->vaddr,
							    .vsize = s->vsize,
							    .executable = s->executable };
	}
	return 0;
}

int symd_inlines_check(const char *names, size_t len, uint64_t count)
{
	const char *end = names + len;
	uint64_t found = 0;

	if (count > INLINES_DEPTH_MAX)
		return -EBADMSG;
	while (names < end) {
		size_t n = strnlen(names, (size_t)(end - names));

		if (!n || n >= SYMD_INLINE_NAME_MAX || names + n == end)
			return -EBADMSG;
		names += n + 1;
		found++;
	}
	return found == count ? 0 : -EBADMSG;
}
