/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the readers of symbol tables (symtab.h) fill and the table (symbols.c) makes of it. For
 * these only.
 */
#ifndef FOLDD_OBJECT_SYMBOLS_H
#define FOLDD_OBJECT_SYMBOLS_H

#include "object/object.h"

#define SYMBOL_NAME_BITS 30

/* Which of several names at one address is the best: the lowest. */
enum symbol_rank {
	SYMBOL_GLOBAL = 0,
	SYMBOL_WEAK = 1,
	SYMBOL_LOCAL = 2,
	SYMBOL_LABEL = 3, /* no function by its type */
};

struct symbol_entry {
	uint64_t vaddr;
	uint32_t size;                    /* larger ones are cut; 0 until finished: none stated */
	uint32_t name : SYMBOL_NAME_BITS; /* offset in names */
	uint32_t rank : 2;
};

_Static_assert(sizeof(struct symbol_entry) == 16, "16 bytes a symbol");
_Static_assert(3ULL * (OBJECT_STRINGS_MAX + 1) <= 1ULL << SYMBOL_NAME_BITS,
	       "string tables fit into name: .dynsym, .gnu_debugdata, .gopclntab");

struct symbols {
	struct symbol_entry *entries;
	size_t count;
	char *names; /* NUL-terminated strings; one may be the tail of another */
	size_t names_len;
	bool borrowed; /* entries and names are somebody else's */
};

/* Where code is: the executable sections of the executable segments, or these alone. */
#define CODE_RANGES_MAX 256

struct code_range {
	uint64_t start, end;
};

struct code {
	size_t count;
	struct code_range ranges[CODE_RANGES_MAX];
};

/* The end of the code around vaddr, or 0 where vaddr is not in code. */
uint64_t code_end(const struct code *c, uint64_t vaddr);

/*
 * From entries in any order to the table: sorted, one name an address, sizes that are true,
 * names and entries cut to what is used. Drops sizeless ones where not all of the file's
 * symbols are there, since what ends them may be missing. -ENOENT where nothing is left.
 */
int symbols_finish(struct symbols *t, const struct code *code, bool complete) __must_check;

#endif
