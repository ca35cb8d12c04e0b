/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an ELF file says of itself: identity, segments, symbols, where its debug file is. Pure
 * functions over bytes that come from a source; every count, offset and size in them is hostile,
 * is checked before use and can make nothing grow past the limits named here.
 */
#ifndef FOLDD_OBJECT_H
#define FOLDD_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/cleanup.h"

#define OBJECT_BUILD_ID_MAX  20          /* what the kernel hands out; a longer note is cut */
#define OBJECT_SEGMENTS_MAX  64          /* PT_LOADs kept */
#define OBJECT_SECTIONS_MAX  65536       /* section headers looked at */
#define OBJECT_SYMBOLS_MAX   4000000     /* kept; chromium has about a million */
#define OBJECT_STRINGS_MAX   (256 << 20) /* bytes of one string table */
#define OBJECT_DEBUGLINK_MAX 256
#define OBJECT_NAME_MAX      4096         /* bytes of one symbol name; longer ones are dropped */
#define OBJECT_DEMANGLED_MAX 32768        /* bytes of one demangled name; longer ones stay raw */
#define OBJECT_CRC_MAX       (8ULL << 30) /* bytes summed for one debug link */

/* The bytes. read() is pread-like: the number of bytes, short only at the end, or -errno. */
struct object_source {
	ssize_t (*read)(void *ctx, void *data, size_t len, uint64_t offset);
	void *ctx;
	uint64_t size;
};

struct object_memory {
	const void *data;
	size_t len;
};

/* A source over a regular file (borrowed; else -EINVAL) or over memory (borrowed). */
int object_source_fd(struct object_source *s, int fd) __must_check;
void object_source_memory(struct object_source *s, const struct object_memory *m);

struct object_segment {
	uint64_t offset; /* in the file */
	uint64_t size;   /* in the file; a separate debug file may say 0 */
	uint64_t vaddr;
	uint64_t vsize; /* in memory, true in a debug file too */
	bool executable;
};

struct object_info {
	uint16_t machine; /* e_machine */
	uint16_t type;    /* e_type */
	uint8_t build_id[OBJECT_BUILD_ID_MAX];
	uint8_t build_id_len; /* 0: none */
	bool has_symtab;
	char debuglink[OBJECT_DEBUGLINK_MAX]; /* base name only, or empty */
	uint32_t debuglink_crc;
	size_t n_segments;
	struct object_segment segments[OBJECT_SEGMENTS_MAX]; /* PT_LOAD, in file order */
};

/* 0, -ENOEXEC (no 64-bit little-endian ELF), -EBADMSG (damaged), -EIO and other read errors. */
int object_info_read(const struct object_source *s, struct object_info *ret) __must_check;
/* File offset to virtual address, preferring executable segments. 0 or -ENOENT. */
int object_vaddr(const struct object_info *info, uint64_t offset, uint64_t *ret_vaddr) __must_check;

/* The CRC-32 of the whole file, as .gnu_debuglink wants it. -EFBIG past OBJECT_CRC_MAX. */
int object_crc32(const struct object_source *s, uint32_t *ret) __must_check;

/* Function symbols, sorted by address. */
struct symbols;

struct symbol {
	const char *name; /* raw (mangled); lives as long as the table */
	uint64_t vaddr;
	uint64_t size; /* how far the name reaches; never 0 */
};

/*
 * .symtab and .dynsym of one file: STT_FUNC and STT_GNU_IFUNC (and sizeless STT_NOTYPE code
 * labels), duplicates at one address reduced to the best one (fewer leading underscores, then
 * global over weak over local). Where .symtab is missing, what .gnu_debugdata and the function
 * table of Go (.gopclntab) say instead; these are optional: where damaged, they say nothing.
 * A separate debug file links to the mapped one by vaddr. -ENOENT where there are no such symbols.
 */
int symbols_read(const struct object_source *s, const struct object_info *info,
		 struct symbols **ret) __must_check;
struct symbols *symbols_free(struct symbols *t);
DEFINE_CLEANUP(struct symbols *, symbols_free)
size_t symbols_count(const struct symbols *t);
size_t symbols_bytes(const struct symbols *t); /* memory held */
/*
 * The symbol that covers vaddr. Exact-size discipline: an address outside [vaddr, vaddr + size)
 * has no name. A symbol without a size (assembly) reaches to the next symbol, at most 4 KiB and
 * not past the end of its executable section and segment. False where there is none.
 */
bool symbols_find(const struct symbols *t, uint64_t vaddr, struct symbol *ret);

/* Demangled C++ or Rust name (malloc'd), or NULL where it is neither, too deep or too long. */
char *object_demangle(const char *name);

#endif
