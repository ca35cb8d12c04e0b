/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "cfi_parts.h"
#include "image.h"

#define HDR_POINTER 12 /* bytes of .eh_frame_hdr that hold where .eh_frame is */

/* True where the file has all of the section's bytes. */
static bool is_whole(const struct object_source *s, const struct cfi_section *c)
{
	return c->size && c->offset <= s->size && c->size <= s->size - c->offset;
}

static struct cfi_section place_of(const struct image_wanted *w)
{
	const Elf64_Shdr *s = &w->section;

	if (s->sh_type == SHT_NULL)
		return (struct cfi_section){ 0 };
	return (struct cfi_section){ s->sh_offset, s->sh_size, s->sh_addr, false };
}

static int find_sections(const struct image *im, struct cfi_places *places)
{
	struct image_wanted wanted[] = { { .name = ".eh_frame" }, { .name = ".debug_frame" } };
	int err = image_find(im, wanted, ARRAY_SIZE(wanted));

	if (err)
		return err;
	places->eh_frame = place_of(&wanted[0]);
	places->debug_frame = place_of(&wanted[1]);
	return 0;
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
