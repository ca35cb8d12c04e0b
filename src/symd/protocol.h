/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What foldd and its worker say to each other over a SOCK_SEQPACKET socket, one request at a time.
 *
 * A request is a struct symd_request; with it goes the descriptor of the file and (INLINES) a
 * struct symd_place behind it, or (DEMANGLE) the name alone. The reply is a struct symd_reply with
 * what belongs to it behind it (INFO: a struct symd_info, DEMANGLE: the text, INLINES: names, each
 * with its NUL, the innermost function first), or with the descriptor of a sealed memfd that holds
 * a flat table (object/flat.h). Both are the same build, but the worker is not to be trusted once
 * it has read the first file: foldd checks all that it says, and ends it at the first thing out of
 * order.
 */
#ifndef FOLDD_SYMD_PROTOCOL_H
#define FOLDD_SYMD_PROTOCOL_H

#include "object/inlines.h"
#include "object/object.h"

#define SYMD_NAME      "foldd-symd"
#define SYMD_SOCKET    3 /* the worker's end */
#define SYMD_MAGIC     0x31646d79U
#define SYMD_TABLE_MAX (256U << 20) /* bytes of one flat table */
#define SYMD_TEXT_MAX  OBJECT_DEMANGLED_MAX
#define SYMD_SEALS     (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

enum symd_op {
	SYMD_HELLO = 0, /* the worker's first message, unasked: the sandbox is closed */
	SYMD_INFO = 1,
	SYMD_CRC = 2,
	SYMD_SYMBOLS = 3,
	SYMD_ROWS = 4,
	SYMD_DEMANGLE = 5,
	SYMD_INLINES = 6,
};

struct symd_request {
	uint32_t magic;
	uint32_t op;
	uint64_t serial;
	uint64_t size; /* of the file; the worker may not ask */
};

enum symd_reply_flag {
	SYMD_LAST = 1, /* the worker ends after this; start another one */
	/* HELLO: what holds beside seccomp */
	SYMD_LANDLOCK = 2,
	SYMD_NOBODY = 4,
};

struct symd_reply {
	uint32_t magic;
	uint32_t op;
	uint64_t serial; /* of the request */
	int32_t error;   /* 0 or -errno; then nothing follows */
	uint32_t flags;
	uint64_t value; /* CRC: the sum; SYMBOLS, ROWS: bytes of the table; INLINES: names */
};

/* struct object_info without anything that C has an opinion on: no bool, no padding. */
struct symd_segment {
	uint64_t offset, size, vaddr, vsize;
	uint64_t executable; /* 0 or 1 */
};

struct symd_info {
	uint16_t machine, type;
	uint8_t has_symtab;
	uint8_t build_id_len;
	uint16_t n_segments;
	uint32_t debuglink_crc;
	uint8_t build_id[OBJECT_BUILD_ID_MAX];
	char debuglink[OBJECT_DEBUGLINK_MAX];
	struct symd_segment segments[OBJECT_SEGMENTS_MAX];
};

/* Which file it is, as foldd has seen it: what is known of the last one is kept. */
struct symd_place {
	uint64_t dev, ino, mtime_ns;
	uint64_t vaddr;
};

_Static_assert(sizeof(struct symd_request) == 24, "no padding");
_Static_assert(sizeof(struct symd_place) == 32, "no padding");
_Static_assert(sizeof(struct symd_reply) == 32, "no padding");
_Static_assert(sizeof(struct symd_info) ==
		       32 + OBJECT_DEBUGLINK_MAX +
			       OBJECT_SEGMENTS_MAX * sizeof(struct symd_segment),
	       "no padding");

#define SYMD_REQUEST_MAX (sizeof(struct symd_request) + OBJECT_NAME_MAX)
#define SYMD_REPLY_MAX   (sizeof(struct symd_reply) + SYMD_TEXT_MAX)
_Static_assert(sizeof(struct symd_info) <= SYMD_TEXT_MAX, "the largest that follows a reply");
#define SYMD_INLINE_NAME_MAX 512 /* bytes of one name with its NUL; longer ones are cut */
_Static_assert(INLINES_DEPTH_MAX *SYMD_INLINE_NAME_MAX <= SYMD_TEXT_MAX, "all fit");

void symd_info_pack(const struct object_info *info, struct symd_info *ret);
/* -EBADMSG: it says what no reader of files would say. */
int symd_info_unpack(const struct symd_info *info, struct object_info *ret) __must_check;
/* -EBADMSG: these bytes are not as many names as was said, or more than there can be. */
int symd_inlines_check(const char *names, size_t len, uint64_t count) __must_check;

#endif
