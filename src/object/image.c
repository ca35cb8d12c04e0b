/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "image.h"

#define PROGRAMS_MAX 65536 /* program headers looked at; more are damage */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "headers are used as they are read");
_Static_assert(CURSOR_CHUNK % sizeof(Elf64_Phdr) == 0, "chunks hold whole program headers");
_Static_assert(CURSOR_CHUNK % sizeof(Elf64_Shdr) == 0, "chunks hold whole section headers");
_Static_assert(CURSOR_CHUNK % sizeof(Elf64_Sym) == 0, "chunks hold whole symbols");

static int check_table(const struct object_source *s, uint64_t offset, uint64_t count, size_t entry)
{
	uint64_t size;

	if (__builtin_mul_overflow(count, entry, &size) || offset > s->size ||
	    size > s->size - offset)
		return -EBADMSG;
	return 0;
}

/* The counts, of which section 0 holds what does not fit into the header. */
static int read_counts(struct image *im)
{
	const Elf64_Ehdr *h = &im->header;
	uint64_t programs = h->e_phnum, sections = h->e_shnum, names = h->e_shstrndx;
	Elf64_Shdr first;
	int err;

	if (h->e_shoff) {
		if (h->e_shentsize != sizeof(Elf64_Shdr))
			return -EBADMSG;
		err = source_read(im->source, &first, sizeof(first), h->e_shoff);
		if (err)
			return err;
		if (!sections)
			sections = first.sh_size;
		if (names == SHN_XINDEX)
			names = first.sh_link;
		if (programs == PN_XNUM)
			programs = first.sh_info;
	} else {
		sections = names = 0;
	}
	if (programs > PROGRAMS_MAX || (programs && h->e_phentsize != sizeof(Elf64_Phdr)) ||
	    check_table(im->source, h->e_phoff, programs, sizeof(Elf64_Phdr)) ||
	    check_table(im->source, h->e_shoff, sections, sizeof(Elf64_Shdr)))
		return -EBADMSG;
	im->n_programs = (uint32_t)programs;
	im->n_sections =
		(uint32_t)(sections < OBJECT_SECTIONS_MAX ? sections : OBJECT_SECTIONS_MAX);
	im->section_names = names < im->n_sections ? (uint32_t)names : SHN_UNDEF;
	return 0;
}

int image_open(const struct object_source *s, struct image *ret)
{
	struct image im = { .source = s };
	const unsigned char *ident = im.header.e_ident;
	int err;

	if (s->size < EI_NIDENT)
		return -ENOEXEC;
	err = source_read(s, im.header.e_ident, EI_NIDENT, 0);
	if (err)
		return err;
	if (memcmp(ident, ELFMAG, SELFMAG) || ident[EI_CLASS] != ELFCLASS64 ||
	    ident[EI_DATA] != ELFDATA2LSB)
		return -ENOEXEC;
	err = source_read(s, &im.header, sizeof(im.header), 0);
	if (err)
		return err;
	err = read_counts(&im);
	if (err)
		return err;
	*ret = im;
	return 0;
}

int image_section(const struct image *im, uint32_t index, Elf64_Shdr *ret)
{
	Elf64_Shdr section;
	int err;

	if (index >= im->n_sections)
		return -EBADMSG;
	err = source_read(im->source, &section, sizeof(section),
			  im->header.e_shoff + (uint64_t)index * sizeof(section));
	if (err)
		return err;
	*ret = section;
	return 0;
}

/* The name of a section, cut to what is looked for; empty where it has none. */
static int read_name(const struct image *im, const Elf64_Shdr *names, uint32_t name,
		     char ret[IMAGE_NAME_BYTES])
{
	uint64_t len = IMAGE_NAME_BYTES;

	memset(ret, 0, IMAGE_NAME_BYTES);
	if (names->sh_type != SHT_STRTAB || name >= names->sh_size ||
	    names->sh_offset > UINT64_MAX - name)
		return 0;
	if (len > names->sh_size - name)
		len = names->sh_size - name;
	return source_read(im->source, ret, len, names->sh_offset + name);
}

/* A separate debug file has sections whose bytes are elsewhere. */
static bool is_whole(const struct image *im, const Elf64_Shdr *s)
{
	return s->sh_type != SHT_NULL && s->sh_type != SHT_NOBITS &&
	       !(s->sh_flags & SHF_COMPRESSED) && s->sh_size && s->sh_offset <= im->source->size &&
	       s->sh_size <= im->source->size - s->sh_offset;
}

static void note_section(struct image_wanted *wanted, size_t n, const Elf64_Shdr *s,
			 const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (wanted[i].section.sh_type == SHT_NULL &&
		    !strncmp(wanted[i].name, name, IMAGE_NAME_BYTES))
			wanted[i].section = *s;
}

int image_find(const struct image *im, struct image_wanted *wanted, size_t n)
{
	char name[IMAGE_NAME_BYTES];
	const void *entry;
	Elf64_Shdr names;
	struct cursor c;
	int more, err;

	for (size_t i = 0; i < n; i++)
		wanted[i].section = (Elf64_Shdr){ .sh_type = SHT_NULL };
	if (im->section_names == SHN_UNDEF)
		return 0;
	err = image_section(im, im->section_names, &names);
	if (err)
		return err;
	cursor_sections(&c, im);
	while ((more = cursor_next(&c, &entry)) > 0) {
		const Elf64_Shdr *s = entry;

		if (!is_whole(im, s))
			continue;
		err = read_name(im, &names, s->sh_name, name);
		if (err && err != -EBADMSG)
			return err;
		if (!err)
			note_section(wanted, n, s, name);
	}
	return more;
}

void cursor_init(struct cursor *c, const struct object_source *s, uint64_t offset, uint64_t count,
		 size_t entry)
{
	c->source = s;
	c->offset = offset;
	c->left = count;
	c->entry = entry;
	c->at = c->end = 0;
}

void cursor_programs(struct cursor *c, const struct image *im)
{
	cursor_init(c, im->source, im->header.e_phoff, im->n_programs, sizeof(Elf64_Phdr));
}

void cursor_sections(struct cursor *c, const struct image *im)
{
	cursor_init(c, im->source, im->header.e_shoff, im->n_sections, sizeof(Elf64_Shdr));
}

static int fill(struct cursor *c)
{
	uint64_t n = sizeof(c->chunk) / c->entry;
	int err;

	if (n > c->left)
		n = c->left;
	err = source_read(c->source, c->chunk, n * c->entry, c->offset);
	if (err)
		return err;
	c->offset += n * c->entry;
	c->left -= n;
	c->at = 0;
	c->end = n * c->entry;
	return 0;
}

int cursor_next(struct cursor *c, const void **ret)
{
	int err;

	if (c->at == c->end) {
		if (!c->left)
			return 0;
		err = fill(c);
		if (err)
			return err;
	}
	*ret = c->chunk + c->at;
	c->at += c->entry;
	return 1;
}
