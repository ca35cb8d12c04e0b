/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reader of symbol tables and the two that help it where a file has no .symtab. For symtab.c,
 * minidebug.c and gonames.c only.
 */
#ifndef FOLDD_OBJECT_SYMTAB_H
#define FOLDD_OBJECT_SYMTAB_H

#include "object/image.h"
#include "object/symbols.h"

struct loader {
	struct image image;
	const struct object_info *info;
	struct symbols *table;
	size_t allocated;          /* entries */
	bool complete;             /* no limit has cut anything yet */
	Elf64_Shdr symtab, dynsym; /* SHT_NULL: none */
	struct code code;
};

/* Append len bytes of a source and a NUL to the names; *ret_base is where they start. */
int loader_strings(struct loader *l, const struct object_source *s, uint64_t offset, uint64_t len,
		   size_t *ret_base) __must_check;
/* The name at an offset of what was appended at base; NULL where it is of no use. */
char *loader_name(const struct symbols *t, size_t base, uint64_t offset);
int loader_add(struct loader *l, const struct symbol_entry *e) __must_check;
/* The symbols of one table of an image, whose code is the loader's. */
int loader_table(struct loader *l, const struct image *im, const Elf64_Shdr *section) __must_check;

/* --- minidebug.c --- */

#define MINIDEBUG_XZ_MAX     (32 << 20) /* bytes of .gnu_debugdata; more are cut, which is damage */
#define MINIDEBUG_MAX        (64 << 20) /* bytes that come out of it */
#define MINIDEBUG_MEMORY_MAX (66 << 20) /* bytes of the decoder: what xz -9 asks for */

/*
 * Decompress what the section holds, the xz-compressed ELF file with the functions that .dynsym
 * lacks. -EBADMSG (damaged, or asks for more memory than allowed), -EFBIG, -ENOMEM.
 */
int minidebug_unpack(const struct object_source *s, const Elf64_Shdr *section, void **ret,
		     size_t *ret_len) __must_check;
/* The symbols in it. */
int minidebug_read(struct loader *l, const Elf64_Shdr *section) __must_check;

/* --- gonames.c --- */

/* The functions of .gopclntab; -ENOENT where there is none. */
int gonames_read(struct loader *l) __must_check;

#endif
