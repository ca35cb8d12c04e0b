/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "image.h"

#define NOTES_MAX       1024 /* notes looked at in one file; the build-id is among the first */
#define DEBUGLINK_NAME  ".gnu_debuglink"
#define DEBUGLINK_BYTES (OBJECT_DEBUGLINK_MAX + 2 * sizeof(uint32_t)) /* name, padding, CRC */

struct reader {
	struct image image;
	struct object_info info;
	unsigned int n_notes;
};

struct note_head {
	Elf64_Nhdr header;
	char name[sizeof(ELF_NOTE_GNU)];
};

/* A separate debug file has headers of bytes that it has not: what is missing is not damage. */
static int optional(int err)
{
	return err == -EBADMSG ? 0 : err;
}

static uint64_t align_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

static bool is_build_id(const struct note_head *n)
{
	return n->header.n_type == NT_GNU_BUILD_ID && n->header.n_descsz &&
	       n->header.n_namesz == sizeof(n->name) &&
	       !memcmp(n->name, ELF_NOTE_GNU, sizeof(n->name));
}

static int read_notes(struct reader *r, uint64_t offset, uint64_t size, uint64_t align)
{
	struct object_info *info = &r->info;
	struct note_head n;
	uint64_t end, desc;
	int err;

	if (__builtin_add_overflow(offset, size, &end) || end > r->image.source->size)
		return 0;
	align = align == 8 ? 8 : 4;
	while (!info->build_id_len && end - offset >= sizeof(n) && r->n_notes++ < NOTES_MAX) {
		err = source_read(r->image.source, &n, sizeof(n), offset);
		if (err)
			return optional(err);
		/* Sums of 32-bit numbers and an offset in a file: no overflow. */
		desc = align_up(sizeof(n.header) + n.header.n_namesz, align);
		size = align_up(desc + n.header.n_descsz, align);
		if (is_build_id(&n) && desc + n.header.n_descsz <= end - offset) {
			uint32_t len = n.header.n_descsz;

			if (len > OBJECT_BUILD_ID_MAX)
				len = OBJECT_BUILD_ID_MAX;
			err = source_read(r->image.source, info->build_id, len, offset + desc);
			if (err)
				return optional(err);
			info->build_id_len = (uint8_t)len;
		}
		if (size > end - offset)
			break;
		offset += size;
	}
	return 0;
}

static int add_segment(struct object_info *info, const Elf64_Phdr *p)
{
	uint64_t end;

	if (__builtin_add_overflow(p->p_offset, p->p_filesz, &end) ||
	    __builtin_add_overflow(p->p_vaddr, p->p_filesz, &end) ||
	    __builtin_add_overflow(p->p_vaddr, p->p_memsz, &end))
		return -EBADMSG;
	if (info->n_segments == OBJECT_SEGMENTS_MAX)
		return 0;
	info->segments[info->n_segments++] = (struct object_segment){
		.offset = p->p_offset,
		.size = p->p_filesz,
		.vaddr = p->p_vaddr,
		.vsize = p->p_memsz,
		.executable = p->p_flags & PF_X,
	};
	return 0;
}

static int read_programs(struct reader *r)
{
	const void *entry;
	struct cursor c;
	int n;

	cursor_programs(&c, &r->image);
	while ((n = cursor_next(&c, &entry)) > 0) {
		const Elf64_Phdr *p = entry;
		int err = 0;

		if (p->p_type == PT_LOAD)
			err = add_segment(&r->info, p);
		else if (p->p_type == PT_NOTE)
			err = read_notes(r, p->p_offset, p->p_filesz, p->p_align);
		if (err)
			return err;
	}
	return n;
}

static int is_debuglink(const struct reader *r, const Elf64_Shdr *section, const Elf64_Shdr *names)
{
	char name[sizeof(DEBUGLINK_NAME)];
	uint64_t offset;
	int err;

	if (section->sh_type != SHT_PROGBITS || section->sh_size > DEBUGLINK_BYTES)
		return 0;
	if (names->sh_type != SHT_STRTAB ||
	    __builtin_add_overflow(names->sh_offset, section->sh_name, &offset))
		return 0;
	err = source_read(r->image.source, name, sizeof(name), offset);
	if (err)
		return optional(err);
	return !memcmp(name, DEBUGLINK_NAME, sizeof(name));
}

/* Only a plain name in a directory that we choose is ever looked for. */
static bool is_base_name(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

static int read_debuglink(struct reader *r, const Elf64_Shdr *section)
{
	char data[DEBUGLINK_BYTES] = { 0 };
	size_t len, crc;
	int err;

	err = source_read(r->image.source, data, section->sh_size, section->sh_offset);
	if (err)
		return optional(err);
	len = strnlen(data, sizeof(data));
	crc = align_up(len + 1, sizeof(uint32_t));
	if (len >= OBJECT_DEBUGLINK_MAX || crc + sizeof(uint32_t) > section->sh_size ||
	    !is_base_name(data))
		return 0;
	memcpy(r->info.debuglink, data, len + 1);
	memcpy(&r->info.debuglink_crc, data + crc, sizeof(uint32_t));
	return 0;
}

static int read_section(struct reader *r, const Elf64_Shdr *section, const Elf64_Shdr *names)
{
	int n;

	if (section->sh_type == SHT_SYMTAB && section->sh_size)
		r->info.has_symtab = true;
	if (section->sh_type == SHT_NOTE)
		return read_notes(r, section->sh_offset, section->sh_size, section->sh_addralign);
	if (r->info.debuglink[0])
		return 0;
	n = is_debuglink(r, section, names);
	return n > 0 ? read_debuglink(r, section) : n;
}

static int read_sections(struct reader *r)
{
	Elf64_Shdr names = { .sh_type = SHT_NULL };
	const void *entry;
	struct cursor c;
	int n, err;

	if (r->image.section_names != SHN_UNDEF) {
		err = image_section(&r->image, r->image.section_names, &names);
		if (err)
			return err;
	}
	cursor_sections(&c, &r->image);
	while ((n = cursor_next(&c, &entry)) > 0) {
		err = read_section(r, entry, &names);
		if (err)
			return err;
	}
	return n;
}

int object_info_read(const struct object_source *s, struct object_info *ret)
{
	struct reader r = { 0 };
	int err;

	err = image_open(s, &r.image);
	if (err)
		return err;
	r.info.machine = r.image.header.e_machine;
	r.info.type = r.image.header.e_type;
	/* Segments first: the kernel takes the build-id from there. */
	err = read_programs(&r);
	if (err)
		return err;
	err = read_sections(&r);
	if (err)
		return err;
	*ret = r.info;
	return 0;
}
