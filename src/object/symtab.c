/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "symtab.h"

#define ENTRIES_SEEN_MAX (4 * (uint64_t)OBJECT_SYMBOLS_MAX) /* of any type, in one table */
#define ENTRIES_FIRST    256

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

int loader_strings(struct loader *l, const struct object_source *s, uint64_t offset, uint64_t len,
		   size_t *ret_base)
{
	struct symbols *t = l->table;
	size_t size;
	char *names;
	int err;

	if (offset > s->size || len > s->size - offset)
		return -EBADMSG;
	if (len > OBJECT_STRINGS_MAX) {
		len = OBJECT_STRINGS_MAX;
		l->complete = false;
	}
	size = (size_t)len;
	names = realloc(t->names, t->names_len + size + 1);
	if (!names)
		return -ENOMEM;
	t->names = names;
	err = source_read(s, names + t->names_len, size, offset);
	if (err)
		return err;
	*ret_base = t->names_len;
	t->names_len += size;
	names[t->names_len++] = '\0';
	return 0;
}

static int read_strings(struct loader *l, const struct image *im, uint32_t index, size_t *ret_base)
{
	Elf64_Shdr s;
	int err = image_section(im, index, &s);

	if (err)
		return err;
	if (s.sh_type != SHT_STRTAB)
		return -EBADMSG;
	return loader_strings(l, im->source, s.sh_offset, s.sh_size, ret_base);
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

char *loader_name(const struct symbols *t, size_t base, uint64_t offset)
{
	size_t left;
	char *name;

	if (offset >= t->names_len - base)
		return NULL;
	name = t->names + base + offset;
	left = t->names_len - base - (size_t)offset;
	/* The NUL behind the table ends every name. */
	if (left > OBJECT_NAME_MAX && !memchr(name, '\0', OBJECT_NAME_MAX + 1))
		return NULL;
	return *name ? name : NULL;
}

/* The name of a symbol, its version cut off in place. */
static char *symbol_name(const struct symbols *t, size_t base, uint32_t offset)
{
	char *name = loader_name(t, base, offset), *version;

	/* One that begins with its version is the tail of another one, which may be cut there. */
	if (!name || *name == '@')
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

int loader_add(struct loader *l, const struct symbol_entry *e)
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
	name = symbol_name(t, base, s->st_name);
	if (!name || (rank == SYMBOL_LABEL && is_local_label(name)))
		return 0;
	return loader_add(
		l, &(struct symbol_entry){
			   .vaddr = s->st_value,
			   .size = s->st_size < UINT32_MAX ? (uint32_t)s->st_size : UINT32_MAX,
			   .name = (size_t)(name - t->names) & ((1U << SYMBOL_NAME_BITS) - 1),
			   .rank = rank,
		   });
}

int loader_table(struct loader *l, const struct image *im, const Elf64_Shdr *section)
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
	err = read_strings(l, im, section->sh_link, &base);
	if (err)
		return err;
	cursor_init(&c, im->source, section->sh_offset, count, sizeof(Elf64_Sym));
	while ((n = cursor_next(&c, &entry)) > 0) {
		err = add_symbol(l, entry, base);
		if (err)
			return err;
	}
	return n;
}

/* Damage in what a file need not have takes nothing from what else is there. */
static int optional(int err)
{
	switch (err) {
	case -EBADMSG:
	case -ENOEXEC:
	case -ENOENT:
	case -EFBIG:
		return 0;
	default:
		return err;
	}
}

/* Names for a file that was stripped of most of them. */
static int read_instead(struct loader *l)
{
	struct image_wanted debugdata = { .name = ".gnu_debugdata" };
	int err;

	err = image_find(&l->image, &debugdata, 1);
	if (!err && debugdata.section.sh_type != SHT_NULL)
		err = minidebug_read(l, &debugdata.section);
	err = optional(err);
	return err ? err : optional(gonames_read(l));
}

int symbols_read(const struct object_source *s, const struct object_info *info,
		 struct symbols **ret)
{
	_cleanup_(symbols_free) struct symbols *t = calloc(1, sizeof(*t));
	struct loader l = { .table = t, .info = info, .complete = true };
	int err;

	if (!t)
		return -ENOMEM;
	err = image_open(s, &l.image);
	if (err)
		return err;
	err = read_sections(&l, info);
	if (err)
		return err;
	err = loader_table(&l, &l.image, &l.symtab);
	if (err)
		return err;
	err = loader_table(&l, &l.image, &l.dynsym);
	if (err)
		return err;
	if (l.symtab.sh_type == SHT_NULL) {
		err = read_instead(&l);
		if (err)
			return err;
	}
	err = symbols_finish(t, &l.code, l.complete);
	if (err)
		return err;
	*ret = TAKE_PTR(t);
	return 0;
}
