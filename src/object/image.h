/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frame of an ELF file: its header and the three kinds of flat tables in it (program headers,
 * section headers, symbols), read in chunks of fixed size. For the parsers of this room only.
 */
#ifndef FOLDD_OBJECT_IMAGE_H
#define FOLDD_OBJECT_IMAGE_H

#include <elf.h>
#include "object/object.h"

/* Exactly len bytes, or -EBADMSG where the source ends before them. */
int source_read(const struct object_source *s, void *data, size_t len,
		uint64_t offset) __must_check;

struct image {
	const struct object_source *source;
	Elf64_Ehdr header;
	uint32_t n_programs;
	uint32_t n_sections;    /* to look at: at most OBJECT_SECTIONS_MAX */
	uint32_t section_names; /* index of their string table, or SHN_UNDEF */
};

int image_open(const struct object_source *s, struct image *ret) __must_check;
int image_section(const struct image *im, uint32_t index, Elf64_Shdr *ret) __must_check;

#define IMAGE_NAME_BYTES 32 /* of the section names looked for, with their NUL */

/* A section that is looked for by its name. */
struct image_wanted {
	const char *name;
	Elf64_Shdr section; /* SHT_NULL: there is none */
};

/*
 * The first section of each name that has all of its bytes in the file and does not hold them
 * compressed. None of them is no failure.
 */
int image_find(const struct image *im, struct image_wanted *wanted, size_t n) __must_check;

/* A whole number of each kind of entry: 24, 56 and 64 bytes. */
#define CURSOR_CHUNK (12 * 1344)

/* One pass over a table. Big, but bounded: lives on the stack. */
struct cursor {
	const struct object_source *source;
	uint64_t offset; /* of what is not read yet */
	uint64_t left;   /* entries not read yet */
	size_t entry;    /* bytes */
	size_t at, end;  /* in the chunk */
	_Alignas(8) unsigned char chunk[CURSOR_CHUNK];
};

void cursor_init(struct cursor *c, const struct object_source *s, uint64_t offset, uint64_t count,
		 size_t entry);
void cursor_programs(struct cursor *c, const struct image *im);
void cursor_sections(struct cursor *c, const struct image *im);
/* 1 with the next entry, which lives until the next call; 0 at the end; -errno. */
int cursor_next(struct cursor *c, const void **ret) __must_check;

#endif
