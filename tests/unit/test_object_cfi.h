/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An ELF file in memory with hand-made unwind information, every part of which a test can bend.
 * Its code lies in the file from TEXT_OFFSET on, over two pages of rows.
 */
#ifndef FOLDD_TEST_OBJECT_CFI_H
#define FOLDD_TEST_OBJECT_CFI_H

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "object/cfi.h"

#define TEXT_OFFSET   0xf000
#define TEXT_SIZE     0x21000
#define TEXT_VADDR    0x401000
#define SECTION_BYTES 0x2000 /* at most, of each section */
#define EH_OFFSET     0x1000
#define HDR_OFFSET    0x4000
#define DEBUG_OFFSET  0x8000
#define NAMES_OFFSET  0x800
#define SECTION_VADDR 0x10000000ULL /* of file offset 0, for all sections */
#define FILE_BYTES    (TEXT_OFFSET + TEXT_SIZE)

enum { S_NULL, S_EH, S_HDR, S_DEBUG, S_NAMES, S_COUNT };
enum { P_TEXT, P_EH, P_HDR, P_COUNT };

struct cfi_file {
	union {
		unsigned char bytes[FILE_BYTES];
		Elf64_Ehdr header;
	};
	Elf64_Phdr *programs;
	Elf64_Shdr *sections;
	size_t at; /* where the next entry goes: in .eh_frame or .debug_frame */
	bool debug;
	uint32_t pairs; /* in .eh_frame_hdr */
	struct object_memory memory;
	struct object_source source;
};

#define BYTES(...)                                                                                 \
	(const unsigned char[]){ __VA_ARGS__ }, sizeof((const unsigned char[]){ __VA_ARGS__ })
#define NO_BYTES NULL, 0

/* The opcodes by their usual names, for the programs in the tests. */
#define ADV(n)          (0x40 | (n))
#define OFFSET(reg, n)  (0x80 | (reg)), (n)
#define RESTORE(reg)    (0xc0 | (reg))
#define DEF_CFA(reg, n) 0x0c, (reg), (n)
#define DEF_REG(reg)    0x0d, (reg)
#define DEF_OFF(n)      0x0e, (n)

static inline void cfi_file_bytes(struct cfi_file *f, const void *data, size_t len)
{
	if (len)
		memcpy(f->bytes + f->at, data, len);
	f->at += len;
}

static inline void cfi_file_number(struct cfi_file *f, uint64_t value, size_t size)
{
	cfi_file_bytes(f, &value, size);
}

/* An entry begun: its length is set when it is closed, which is what it returns. */
static inline size_t cfi_file_open(struct cfi_file *f)
{
	size_t start = f->at;

	cfi_file_number(f, 0, 4);
	return start;
}

static inline void cfi_file_close(struct cfi_file *f, size_t start)
{
	uint32_t len;

	while ((f->at - start) % 8)
		f->bytes[f->at++] = 0;
	len = (uint32_t)(f->at - start - 4);
	memcpy(f->bytes + start, &len, sizeof(len));
	f->sections[f->debug ? S_DEBUG : S_EH].sh_size =
		f->at - (f->debug ? DEBUG_OFFSET : EH_OFFSET);
}

/*
 * A CIE with the augmentation and its data (behind its length, where it begins with 'z'), code
 * alignment 1, data alignment -8, CFA rsp + 8, return address at CFA - 8. Returns where it is.
 */
static inline size_t cfi_file_cie(struct cfi_file *f, const char *letters, const void *data,
				  size_t len)
{
	static const unsigned char initial[] = { DEF_CFA(7, 8), OFFSET(16, 1) };
	size_t start = cfi_file_open(f);

	cfi_file_number(f, f->debug ? UINT32_MAX : 0, 4);
	cfi_file_number(f, f->debug ? 3 : 1, 1);
	cfi_file_bytes(f, letters, strlen(letters) + 1);
	if (!strncmp(letters, "eh", 2))
		cfi_file_number(f, 0, 8);
	cfi_file_number(f, 1, 1);
	cfi_file_number(f, 0x78, 1);
	cfi_file_number(f, 16, 1);
	if (*letters == 'z')
		cfi_file_number(f, len, 1);
	cfi_file_bytes(f, data, len);
	cfi_file_bytes(f, initial, sizeof(initial));
	cfi_file_close(f, start);
	return start;
}

/* The usual one: addresses are 32 bits, relative to where they are written. */
static inline size_t cfi_file_usual_cie(struct cfi_file *f)
{
	return cfi_file_cie(f, "zR", BYTES(0x1b));
}

static inline void cfi_file_pair(struct cfi_file *f, uint64_t vaddr, size_t fde)
{
	int32_t pair[2] = {
		(int32_t)(vaddr - (SECTION_VADDR + HDR_OFFSET)),
		(int32_t)(fde - HDR_OFFSET),
	};

	f->pairs++;
	memcpy(f->bytes + HDR_OFFSET + 8, &f->pairs, sizeof(f->pairs));
	memcpy(f->bytes + HDR_OFFSET + 12 + 8 * (f->pairs - 1), pair, sizeof(pair));
	f->sections[S_HDR].sh_size = f->programs[P_HDR].p_filesz = 12 + 8 * f->pairs;
}

/* Code from offset on in the file, with the usual CIE. Returns where the FDE is. */
static inline size_t cfi_file_fde(struct cfi_file *f, size_t cie, uint64_t offset, uint32_t size,
				  const void *program, size_t len)
{
	uint64_t vaddr = TEXT_VADDR + (offset - TEXT_OFFSET);
	size_t start = cfi_file_open(f);

	cfi_file_number(f, f->at - cie, 4);
	cfi_file_number(f, vaddr - (SECTION_VADDR + f->at), 4);
	cfi_file_number(f, size, 4);
	cfi_file_number(f, 0, 1);
	cfi_file_bytes(f, program, len);
	cfi_file_close(f, start);
	return start;
}

/* The same with absolute 64-bit addresses and without augmentation data. */
static inline size_t cfi_file_plain_fde(struct cfi_file *f, size_t cie, uint64_t offset,
					uint64_t size, const void *program, size_t len)
{
	size_t start = cfi_file_open(f);

	cfi_file_number(f, f->debug ? cie - DEBUG_OFFSET : f->at - cie, 4);
	cfi_file_number(f, TEXT_VADDR + (offset - TEXT_OFFSET), 8);
	cfi_file_number(f, size, 8);
	cfi_file_bytes(f, program, len);
	cfi_file_close(f, start);
	return start;
}

/* From here on entries go to .debug_frame. */
static inline void cfi_file_debug(struct cfi_file *f)
{
	f->debug = true;
	f->at = DEBUG_OFFSET;
}

static inline void cfi_file_section(struct cfi_file *f, int i, uint32_t name, uint64_t offset)
{
	f->sections[i] = (Elf64_Shdr){
		.sh_name = name,
		.sh_type = SHT_PROGBITS,
		.sh_addr = i == S_DEBUG ? 0 : SECTION_VADDR + offset,
		.sh_offset = offset,
	};
}

static inline struct cfi_file *cfi_file_new(void)
{
	static const char names[] = "\0.eh_frame\0.eh_frame_hdr\0.debug_frame";
	struct cfi_file *f = calloc(1, sizeof(*f));

	if (!f)
		abort();
	f->header = (Elf64_Ehdr){
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, 1 },
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = 1,
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = P_COUNT,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = S_COUNT,
		.e_shoff = sizeof(Elf64_Ehdr) + P_COUNT * sizeof(Elf64_Phdr),
		.e_shstrndx = S_NAMES,
	};
	f->programs = (Elf64_Phdr *)(f->bytes + f->header.e_phoff);
	f->sections = (Elf64_Shdr *)(f->bytes + f->header.e_shoff);
	f->programs[P_TEXT] = (Elf64_Phdr){ PT_LOAD,    PF_R | PF_X, TEXT_OFFSET, TEXT_VADDR,
					    TEXT_VADDR, TEXT_SIZE,   TEXT_SIZE,   4096 };
	f->programs[P_EH] = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = PF_R,
		.p_offset = EH_OFFSET,
		.p_vaddr = SECTION_VADDR + EH_OFFSET,
		.p_filesz = 2 * SECTION_BYTES,
		.p_memsz = 2 * SECTION_BYTES,
	};
	f->programs[P_HDR] = (Elf64_Phdr){
		.p_type = PT_GNU_EH_FRAME,
		.p_offset = HDR_OFFSET,
		.p_vaddr = SECTION_VADDR + HDR_OFFSET,
	};
	cfi_file_section(f, S_EH, 1, EH_OFFSET);
	cfi_file_section(f, S_HDR, 11, HDR_OFFSET);
	cfi_file_section(f, S_DEBUG, 25, DEBUG_OFFSET);
	cfi_file_section(f, S_NAMES, 0, NAMES_OFFSET);
	f->sections[S_NAMES].sh_type = SHT_STRTAB;
	f->sections[S_NAMES].sh_size = sizeof(names);
	memcpy(f->bytes + NAMES_OFFSET, names, sizeof(names));
	/* version, .eh_frame pcrel sdata4, count udata4, table datarel sdata4 */
	memcpy(f->bytes + HDR_OFFSET, "\x01\x1b\x03\x3b", 4);
	memcpy(f->bytes + HDR_OFFSET + 4, &(int32_t){ EH_OFFSET - HDR_OFFSET - 4 }, 4);
	f->at = EH_OFFSET;
	return f;
}

/* Rows of the first len bytes. On failure *ret is left alone. */
static inline int cfi_file_build(struct cfi_file *f, size_t len, struct cfi_table **ret,
				 struct cfi_stats *stats)
{
	_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
	struct object_info info;
	struct cfi_sink sink;
	int err;

	f->memory = (struct object_memory){ f->bytes, len };
	object_source_memory(&f->source, &f->memory);
	err = object_info_read(&f->source, &info);
	if (err)
		return err;
	err = cfi_table_new(&t);
	if (err)
		return err;
	cfi_table_sink(t, &sink);
	err = cfi_build(&f->source, &info, &sink, stats);
	if (err)
		return err;
	*ret = TAKE_PTR(t);
	return 0;
}

/* What each table must be, whatever it was made of. */
static inline void cfi_check_table(const struct cfi_table *t)
{
	uint32_t total = 0;

	assert_true(t->n_pages <= CFI_PAGES_MAX);
	for (uint32_t i = 0; i < t->n_pages; i++) {
		const struct cfi_page *p = &t->pages[i];
		const uint32_t *rows = t->rows + p->first;

		assert_int_equal(p->first, total);
		assert_true(p->n <= CFI_PAGE_ROWS_MAX);
		if (p->n)
			assert_int_equal(rows[0] >> 16, 0);
		for (uint32_t j = 0; j < p->n; j++) {
			assert_true((rows[j] & UINT16_MAX) < t->n_rules);
			if (!j)
				continue;
			assert_true(rows[j - 1] >> 16 < rows[j] >> 16);
			assert_true((uint16_t)rows[j - 1] != (uint16_t)rows[j]);
		}
		total += p->n;
	}
	assert_int_equal(total, t->n_rows);
	for (uint32_t i = 0; i < t->n_rules; i++) {
		assert_true(t->rules[i].cfa_type <= CFI_CFA_RA_RDI);
		assert_true(t->rules[i].rbp_type <= CFI_RBP_LOST);
	}
}

#endif
