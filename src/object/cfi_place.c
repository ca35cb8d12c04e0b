/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "cfi_parts.h"
#include "image.h"

#define NAME_MAX_BYTES 16 /* of the names looked for, with their NUL */
#define HDR_POINTER    12 /* bytes of .eh_frame_hdr that hold where .eh_frame is */

/* True where the file has all of the section's bytes. */
static bool is_whole(const struct object_source *s, const struct cfi_section *c)
{
	return c->size && c->offset <= s->size && c->size <= s->size - c->offset;
}

/* The name of a section, cut to what is looked for; empty where it has none. */
static int read_name(const struct image *im, const Elf64_Shdr *names, uint32_t name,
		     char ret[NAME_MAX_BYTES])
{
	uint64_t len = NAME_MAX_BYTES;

	ret[0] = '\0';
	if (names->sh_type != SHT_STRTAB || name >= names->sh_size)
		return 0;
	if (len > names->sh_size - name)
		len = names->sh_size - name;
	if (names->sh_offset > UINT64_MAX - name)
		return 0;
	memset(ret, 0, NAME_MAX_BYTES);
	return source_read(im->source, ret, len, names->sh_offset + name);
}

static void note_section(const struct object_source *s, const Elf64_Shdr *section, const char *name,
			 struct cfi_places *places)
{
	struct cfi_section c = { section->sh_offset, section->sh_size, section->sh_addr, false };
	struct cfi_section *to;

	if (!strncmp(name, ".eh_frame", NAME_MAX_BYTES))
		to = &places->eh_frame;
	else if (!strncmp(name, ".debug_frame", NAME_MAX_BYTES))
		to = &places->debug_frame;
	else
		return;
	/* A separate debug file has an .eh_frame without bytes; compressed ones are not read. */
	if (section->sh_type == SHT_NOBITS || (section->sh_flags & SHF_COMPRESSED))
		return;
	if (!to->size && is_whole(s, &c))
		*to = c;
}

static int find_sections(const struct image *im, struct cfi_places *places)
{
	char name[NAME_MAX_BYTES];
	const void *entry;
	Elf64_Shdr names;
	struct cursor c;
	int n, err;

	if (im->section_names == SHN_UNDEF)
		return 0;
	err = image_section(im, im->section_names, &names);
	if (err)
		return err;
	cursor_sections(&c, im);
	while ((n = cursor_next(&c, &entry)) > 0) {
		const Elf64_Shdr *section = entry;

		err = read_name(im, &names, section->sh_name, name);
		if (err && err != -EBADMSG)
			return err;
		if (!err)
			note_section(im->source, section, name, places);
	}
	return n;
}

static int find_hdr(const struct image *im, struct cfi_places *places)
{
	const void *entry;
	struct cursor c;
	int n;

	cursor_programs(&c, im);
	while ((n = cursor_next(&c, &entry)) > 0) {
		const Elf64_Phdr *p = entry;
		struct cfi_section hdr = { p->p_offset, p->p_filesz, p->p_vaddr, false };

		if (p->p_type == PT_GNU_EH_FRAME && is_whole(im->source, &hdr))
			places->eh_frame_hdr = hdr;
	}
	return n;
}

/* Without section headers: .eh_frame is where its header says, up to the end of the segment. */
static int find_by_hdr(const struct object_source *s, const struct object_info *info,
		       struct cfi_places *places)
{
	const struct cfi_section *hdr = &places->eh_frame_hdr;
	unsigned char head[HDR_POINTER];
	struct cfi_bytes b = { .at = head + 4, .end = head + sizeof(head) };
	struct cfi_section c;
	int err;

	if (hdr->size < sizeof(head))
		return 0;
	err = source_read(s, head, sizeof(head), hdr->offset);
	if (err)
		return err;
	if (cfi_read_pointer(&b, head[1], hdr->vaddr + 4, &c.vaddr))
		return 0;
	for (size_t i = 0; i < info->n_segments; i++) {
		const struct object_segment *segment = &info->segments[i];
		uint64_t skip = c.vaddr - segment->vaddr;

		if (c.vaddr < segment->vaddr || skip >= segment->size)
			continue;
		c.offset = segment->offset + skip;
		c.size = segment->size - skip;
		c.marked = true;
		if (is_whole(s, &c))
			places->eh_frame = c;
		return 0;
	}
	return 0;
}

int cfi_places_find(const struct object_source *s, const struct object_info *info,
		    struct cfi_places *ret)
{
	struct cfi_places places;
	struct image im;
	int err;

	memset(&places, 0, sizeof(places));
	err = image_open(s, &im);
	if (err)
		return err;
	err = find_sections(&im, &places);
	if (err)
		return err;
	err = find_hdr(&im, &places);
	if (err)
		return err;
	if (!places.eh_frame.size && places.eh_frame_hdr.size) {
		err = find_by_hdr(s, info, &places);
		if (err)
			return err;
	}
	*ret = places;
	return 0;
}
