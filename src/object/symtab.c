/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "image.h"
#include "symbols.h"

#define ENTRIES_SEEN_MAX (4 * (uint64_t)OBJECT_SYMBOLS_MAX) /* of any type, in one table */
#define ENTRIES_FIRST    256

struct loader {
	struct image image;
	struct symbols *table;
	size_t allocated;          /* entries */
	bool complete;             /* no limit has cut anything yet */
	Elf64_Shdr symtab, dynsym; /* SHT_NULL: none */
	struct code code;
};

static void segment_ranges(const struct object_info *info, struct code *c)
{
	_Static_assert(OBJECT_SEGMENTS_MAX <= CODE_RANGES_MAX, "a range for each segment");

	c->count = 0;
	for (size_t i = 0; i < info->n_segments; i++) {
		const struct object_segment *s = &info->segments[i];
		uint64_t end;

		if (s->executable && !__builtin_add_overflow(s->vaddr, s->vsize, &end))
			c->ranges[c->count++] = (struct code_range){ s->vaddr, end };
	}
}

/*
 * The part of an executable section that is mapped to be executed. Sections are finer than
 * segments: the last label of .init does not reach into the .plt behind it. -ENOSPC.
 */
static int add_section(struct code *c, const struct code *segments, const Elf64_Shdr *s)
{
	uint64_t end, limit = code_end(segments, s->sh_addr);

	if (!(s->sh_flags & SHF_ALLOC) || !(s->sh_flags & SHF_EXECINSTR) || !s->sh_size || !limit)
		return 0;
	if (__builtin_add_overflow(s->sh_addr, s->sh_size, &end) || end > limit)
		end = limit;
	if (c->count == CODE_RANGES_MAX)
		return -ENOSPC;
	c->ranges[c->count++] = (struct code_range){ s->sh_addr, end };
	return 0;
}

static int read_sections(struct loader *l, const struct object_info *info)
{
	struct code segments;
	bool too_many = false;
	const void *entry;
	struct cursor c;
	int n;

	segment_ranges(info, &segments);
	cursor_sections(&c, &l->image);
	while ((n = cursor_next(&c, &entry)) > 0) {
		const Elf64_Shdr *s = entry;

		if (s->sh_type == SHT_SYMTAB && l->symtab.sh_type == SHT_NULL)
			l->symtab = *s;
		else if (s->sh_type == SHT_DYNSYM && l->dynsym.sh_type == SHT_NULL)
			l->dynsym = *s;
		else if (!too_many)
			too_many = add_section(&l->code, &segments, s);
	}
	if (too_many || !l->code.count)
		l->code = segments;
	return n;
}

/* Append a string table and a NUL to the names; *ret_base is where it starts. */
static int read_strings(struct loader *l, uint32_t index, size_t *ret_base)
{
	struct symbols *t = l->table;
	Elf64_Shdr s;
	size_t size;
	char *names;
	int err;

	err = image_section(&l->image, index, &s);
	if (err)
		return err;
	if (s.sh_type != SHT_STRTAB || s.sh_offset > l->image.source->size ||
	    s.sh_size > l->image.source->size - s.sh_offset)
		return -EBADMSG;
	if (s.sh_size > OBJECT_STRINGS_MAX) {
		s.sh_size = OBJECT_STRINGS_MAX;
		l->complete = false;
	}
	size = (size_t)s.sh_size;
	names = realloc(t->names, t->names_len + size + 1);
	if (!names)
		return -ENOMEM;
	t->names = names;
	err = source_read(l->image.source, names + t->names_len, size, s.sh_offset);
	if (err)
		return err;
	*ret_base = t->names_len;
	t->names_len += size;
	names[t->names_len++] = '\0';
	return 0;
}

/* True with a rank where the symbol names code by its own entry. */
static bool classify(const Elf64_Sym *s, enum symbol_rank *ret)
{
	unsigned int type = ELF64_ST_TYPE(s->st_info), bind = ELF64_ST_BIND(s->st_info);

	if (s->st_shndx == SHN_UNDEF)
		return false;
	if (type == STT_NOTYPE && s->st_shndx != SHN_ABS)
		*ret = SYMBOL_LABEL;
	else if (type != STT_FUNC && type != STT_GNU_IFUNC)
		return false;
	else if (bind == STB_GLOBAL || bind == STB_GNU_UNIQUE)
		*ret = SYMBOL_GLOBAL;
	else
		*ret = bind == STB_WEAK ? SYMBOL_WEAK : SYMBOL_LOCAL;
	return true;
}

/* The name at an offset of names, its version cut off in place; NULL where it is of no use. */
static char *usable_name(const struct symbols *t, size_t base, uint32_t offset)
{
	size_t left;
	char *name, *version;

	if (offset >= t->names_len - base)
		return NULL;
	name = t->names + base + offset;
	left = t->names_len - base - offset;
	/* The NUL behind the table ends every name. */
	if (left > OBJECT_NAME_MAX && !memchr(name, '\0', OBJECT_NAME_MAX + 1))
		return NULL;
	/* A name that begins with its version is the tail of another one, which may be cut there.
	 */
	if (!*name || *name == '@')
		return NULL;
	version = strchr(name, '@');
	if (version)
		*version = '\0';
	return name;
}

/* Mapping symbols ($x, $d) and the assembler's own labels name no function. */
static bool is_local_label(const char *name)
{
	return *name == '$' || !strncmp(name, ".L", 2);
}

static int add_entry(struct loader *l, const struct symbol_entry *e)
{
	struct symbols *t = l->table;

	if (t->count == OBJECT_SYMBOLS_MAX) {
		l->complete = false;
		return 0;
	}
	if (t->count == l->allocated) {
		size_t n = l->allocated ? l->allocated * 2 : ENTRIES_FIRST;
		struct symbol_entry *entries = realloc(t->entries, n * sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		t->entries = entries;
		l->allocated = n;
	}
	t->entries[t->count++] = *e;
	return 0;
}

static int add_symbol(struct loader *l, const Elf64_Sym *s, size_t base)
{
	struct symbols *t = l->table;
	enum symbol_rank rank;
	const char *name;

	if (!classify(s, &rank) || !code_end(&l->code, s->st_value))
		return 0;
	name = usable_name(t, base, s->st_name);
	if (!name || (rank == SYMBOL_LABEL && is_local_label(name)))
		return 0;
	return add_entry(l,
			 &(struct symbol_entry){
				 .vaddr = s->st_value,
				 .size = s->st_size < UINT32_MAX ? (uint32_t)s->st_size
								 : UINT32_MAX,
				 .name = (size_t)(name - t->names) & ((1U << SYMBOL_NAME_BITS) - 1),
				 .rank = rank,
			 });
}

static int read_table(struct loader *l, const Elf64_Shdr *section)
{
	uint64_t count = section->sh_size / sizeof(Elf64_Sym);
	const void *entry;
	struct cursor c;
	size_t base;
	int n, err;

	if (section->sh_type == SHT_NULL || !count)
		return 0;
	if (section->sh_entsize != sizeof(Elf64_Sym))
		return -EBADMSG;
	if (count > ENTRIES_SEEN_MAX) {
		count = ENTRIES_SEEN_MAX;
		l->complete = false;
	}
	err = read_strings(l, section->sh_link, &base);
	if (err)
		return err;
	cursor_init(&c, l->image.source, section->sh_offset, count, sizeof(Elf64_Sym));
	while ((n = cursor_next(&c, &entry)) > 0) {
		err = add_symbol(l, entry, base);
		if (err)
			return err;
	}
	return n;
}

int symbols_read(const struct object_source *s, const struct object_info *info,
		 struct symbols **ret)
{
	_cleanup_(symbols_free) struct symbols *t = calloc(1, sizeof(*t));
	struct loader l = { .table = t, .complete = true };
	int err;

	if (!t)
		return -ENOMEM;
	err = image_open(s, &l.image);
	if (err)
		return err;
	err = read_sections(&l, info);
	if (err)
		return err;
	err = read_table(&l, &l.symtab);
	if (err)
		return err;
	err = read_table(&l, &l.dynsym);
	if (err)
		return err;
	err = symbols_finish(t, &l.code, l.complete);
	if (err)
		return err;
	*ret = TAKE_PTR(t);
	return 0;
}
