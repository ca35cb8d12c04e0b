/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small ELF file built in memory, every part of which a test can bend: one executable and one
 * data segment, a build-id, .symtab and .dynsym, a debug link.
 */
#ifndef FOLDD_TEST_OBJECT_ELF_H
#define FOLDD_TEST_OBJECT_ELF_H

#include <elf.h>
#include <string.h>
#include "object/object.h"

#define TEST_TEXT      0x1000 /* .init; .text is behind it */
#define TEST_INIT_SIZE 0x20
#define TEST_TEXT_SIZE 0x3000 /* both */
#define TEST_DATA      0x5000
#define TEST_BUILD_ID                                                                              \
	"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67"
#define TEST_LINK     "small.debug"
#define TEST_LINK_CRC 0x12345678U

enum test_section {
	S_NULL,
	S_INIT,
	S_TEXT,
	S_NOTE,
	S_SYMTAB,
	S_STRTAB,
	S_DYNSYM,
	S_DYNSTR,
	S_LINK,
	S_NAMES,
	S_COUNT,
};

enum { P_CODE, P_DATA, P_NOTE, P_COUNT };

struct test_elf {
	union {
		unsigned char bytes[8192];
		Elf64_Ehdr header;
	};
	size_t len;
	Elf64_Phdr *programs;
	Elf64_Shdr *sections;
	struct object_memory memory;
	struct object_source source;
};

struct test_symbol {
	const char *name;
	uint64_t vaddr, size;
	unsigned char bind, type;
	uint16_t section; /* 0: S_TEXT */
};

static inline size_t test_elf_append(struct test_elf *e, const void *data, size_t len)
{
	size_t at = (e->len + 7) & ~(size_t)7;

	memcpy(e->bytes + at, data, len);
	e->len = at + len;
	return at;
}

static inline void test_elf_content(struct test_elf *e, enum test_section i, uint32_t type,
				    const void *data, size_t len)
{
	e->sections[i].sh_type = type;
	e->sections[i].sh_offset = test_elf_append(e, data, len);
	e->sections[i].sh_size = len;
}

/* Look at the first len bytes only. */
static inline void test_elf_source(struct test_elf *e, size_t len)
{
	e->memory = (struct object_memory){ e->bytes, len };
	object_source_memory(&e->source, &e->memory);
}

static inline void test_elf_symbols(struct test_elf *e, enum test_section table,
				    const struct test_symbol *symbols, size_t n)
{
	char strings[1024] = "";
	Elf64_Sym entries[32] = { 0 };
	size_t len = 1;

	for (size_t i = 0; i < n; i++) {
		entries[i + 1] = (Elf64_Sym){
			.st_name = (uint32_t)len,
			.st_info = ELF64_ST_INFO(symbols[i].bind, symbols[i].type),
			.st_shndx = symbols[i].section ? symbols[i].section : S_TEXT,
			.st_value = symbols[i].vaddr,
			.st_size = symbols[i].size,
		};
		strcpy(strings + len, symbols[i].name);
		len += strlen(symbols[i].name) + 1;
	}
	test_elf_content(e, table, table == S_SYMTAB ? SHT_SYMTAB : SHT_DYNSYM, entries,
			 (n + 1) * sizeof(*entries));
	e->sections[table].sh_entsize = sizeof(*entries);
	e->sections[table].sh_link = table + 1;
	test_elf_content(e, table + 1, SHT_STRTAB, strings, len);
	test_elf_source(e, e->len);
}

static inline void test_elf_note(struct test_elf *e)
{
	struct {
		Elf64_Nhdr other;
		char other_name[8], other_desc[4];
		Elf64_Nhdr id;
		char id_name[4], id_desc[20];
	} note = {
		.other = { 6, 4, 1 },
		.other_name = "Debian",
		.id = { 4, 20, NT_GNU_BUILD_ID },
		.id_name = "GNU",
	};

	memcpy(note.id_desc, TEST_BUILD_ID, sizeof(note.id_desc));
	test_elf_content(e, S_NOTE, SHT_NOTE, &note, sizeof(note));
	e->sections[S_NOTE].sh_addralign = 4;
	e->programs[P_NOTE] = (Elf64_Phdr){
		.p_type = PT_NOTE,
		.p_offset = e->sections[S_NOTE].sh_offset,
		.p_filesz = sizeof(note),
		.p_memsz = sizeof(note),
		.p_align = 4,
	};
}

static inline void test_elf_link(struct test_elf *e, const char *name)
{
	char data[300] = { 0 };
	uint32_t crc = TEST_LINK_CRC;
	size_t at = (strlen(name) + 4) & ~(size_t)3;

	strcpy(data, name);
	memcpy(data + at, &crc, sizeof(crc));
	test_elf_content(e, S_LINK, SHT_PROGBITS, data, at + sizeof(crc));
	e->sections[S_LINK].sh_name = 1;
	test_elf_source(e, e->len);
}

static inline void test_elf_code(struct test_elf *e, enum test_section i, uint64_t vaddr,
				 uint64_t size)
{
	e->sections[i].sh_type = SHT_NOBITS; /* as in a separate debug file */
	e->sections[i].sh_flags = SHF_ALLOC | SHF_EXECINSTR;
	e->sections[i].sh_addr = vaddr;
	e->sections[i].sh_size = size;
}

/* All but the symbols. */
static inline void test_elf_init(struct test_elf *e)
{
	static const char names[] = "\0.gnu_debuglink";

	memset(e, 0, sizeof(*e));
	e->header = (Elf64_Ehdr){
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
	e->programs = (Elf64_Phdr *)(e->bytes + e->header.e_phoff);
	e->sections = (Elf64_Shdr *)(e->bytes + e->header.e_shoff);
	e->len = e->header.e_shoff + S_COUNT * sizeof(Elf64_Shdr);
	e->programs[P_CODE] = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_offset = 0x200,
		.p_filesz = TEST_TEXT_SIZE,
		.p_vaddr = TEST_TEXT,
		.p_memsz = TEST_TEXT_SIZE,
	};
	e->programs[P_DATA] = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_W,
		.p_offset = 0x200 + TEST_TEXT_SIZE - 0x100, /* shares bytes with the code */
		.p_filesz = 0x200,
		.p_vaddr = TEST_DATA,
		.p_memsz = 0x400,
	};
	test_elf_code(e, S_INIT, TEST_TEXT, TEST_INIT_SIZE);
	test_elf_code(e, S_TEXT, TEST_TEXT + TEST_INIT_SIZE, TEST_TEXT_SIZE - TEST_INIT_SIZE);
	test_elf_note(e);
	test_elf_link(e, TEST_LINK);
	test_elf_content(e, S_NAMES, SHT_STRTAB, names, sizeof(names));
	test_elf_source(e, e->len);
}

#endif
