/* SPDX-License-Identifier: BSD-2-Clause */
/* What leads to an object of the registry: build-ids, and devices with inodes. */
#ifndef FOLDD_LINKS_H
#define FOLDD_LINKS_H

#include "base/table.h"
#include "objects.h"

#define LINKS_MAX (4 * OBJECTS_MAX)

enum key_kind {
	KEY_BUILD_ID = 1,
	KEY_MAPS, /* device and inode as /proc/PID/maps and the feed tell them, and the path */
	KEY_FILE, /* those of an opened file without a build-id, and its version */
};

/* Compared and hashed as bytes: no padding. */
struct key {
	uint8_t build_id[OBJECT_BUILD_ID_MAX];
	uint32_t build_id_len;
	uint32_t kind;
	uint32_t major, minor;
	uint32_t zero;
	uint64_t ino;
	uint64_t extra; /* hash of what else must be the same */
};

struct link {
	struct key key;
	uint32_t object; /* OBJECT_NONE: looked at, and no object */
};

struct links {
	struct link *all;
	uint32_t count, allocated;
	struct table index;
};

void links_release(struct links *l);
/* NULL where there is none. Lives until the next links_set. */
const struct link *links_find(const struct links *l, const struct key *k);
/* -ENOSPC: LINKS_MAX are there. */
int links_set(struct links *l, const struct key *k, uint32_t object) __must_check;

#endif
