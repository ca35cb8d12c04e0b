/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An ELF file in memory with the function table of a small Go program, every part of which a test
 * can bend. Each function has 64 bytes of code and is named and shaped as the list says.
 */
#ifndef FOLDD_TEST_OBJECT_GO_H
#define FOLDD_TEST_OBJECT_GO_H

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include "object/cfi.h"

#define GO_TEXT_OFFSET 0x1000
#define GO_TEXT        0x401000ULL
#define GO_FUNC_SIZE   64
#define GO_MAGIC_118   0xfffffff0U
#define GO_MAGIC_120   0xfffffff1U
#define GO_FILE_BYTES  0x2000
#define GO_NAMES_AT    0x100 /* in the table */
#define GO_PCSP_AT     0x300
#define GO_TABLE_AT    0x400
#define GO_FUNCS_AT    0x80 /* in what is at GO_TABLE_AT */
#define GO_TABLE_BYTES 0x700
#define GO_TABLE_FILE  0x400 /* offset in the file */
#define GO_MODULE_FILE 0xc00
#define GO_NAMES_FILE  0x380

enum { S_NULL, S_TEXT, S_PCLN, S_MODULE, S_NAMES, S_COUNT };

struct go_file {
	union {
		unsigned char bytes[GO_FILE_BYTES];
		Elf64_Ehdr header;
	};
	Elf64_Phdr *program;
	Elf64_Shdr *sections;
	unsigned char *table;
	struct object_memory memory;
	struct object_source source;
};

struct go_test_func {
	const char *name;
	unsigned char code[24];
	unsigned char pcsp[16]; /* pairs: zigzag of the growth, bytes; the first grows from -1 */
};

/* Zigzag. */
#define UP(n)   (2 * (n))
#define DOWN(n) (2 * (n)-1)

static const struct go_test_func go_test_funcs[] = {
	{ "_rt0_amd64_linux", { 0xeb, 0xfe }, { UP(1), 64 } },
	/* push %rbp; mov %rsp,%rbp; sub $0x10,%rsp; ...; add; pop %rbp; ret */
	{ "main.main",
	  { 0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x10 },
	  { UP(1), 1, UP(8), 7, UP(16), 20, DOWN(16), 1, DOWN(8), 35 } },
	/* sub $0x18,%rsp; mov %rbp,0x10(%rsp); lea 0x10(%rsp),%rbp; ... */
	{ "main.older",
	  { 0x48, 0x83, 0xec, 0x18, 0x48, 0x89, 0x6c, 0x24, 0x10, 0x48, 0x8d, 0x6c, 0x24, 0x10 },
	  { UP(1), 4, UP(24), 30, DOWN(24), 30 } },
	/* sub $8,%rsp; mov %rbp,(%rsp); lea (%rsp),%rbp */
	{ "main.least",
	  { 0x48, 0x83, 0xec, 0x08, 0x48, 0x89, 0x2c, 0x24, 0x48, 0x8d, 0x2c, 0x24 },
	  { UP(1), 4, UP(8), 30, DOWN(8), 30 } },
	{ "main.leaf", { 0xc3 }, { UP(1), 64 } },
	/* pushfq; ... */
	{ "main.assembly", { 0x9c }, { UP(1), 1, UP(8), 33, DOWN(8), 30 } },
	/* nop; mov %rbx,%rsp; call *%rdi */
	{ "runtime.systemstack", { 0x90, 0x48, 0x89, 0xdc, 0xff, 0xd7 }, { UP(1), 64 } },
	{ "runtime.mcall", { 0x90, 0x48, 0x8b, 0x66, 0x38, 0xff, 0xd7 }, { UP(1), 64 } },
	{ "runtime.goexit", { 0x90, 0xe8 }, { UP(1), 64 } },
	{ "runtime.sigreturn", { 0x0f, 0x05 }, { UP(1), 64 } },
	{ "main.unknown", { 0x90 }, { 0 } },
};
#define GO_N_FUNCS (sizeof(go_test_funcs) / sizeof(go_test_funcs[0]))

static inline void go_file_put(struct go_file *f, size_t at, uint64_t value, size_t size)
{
	memcpy(f->table + at, &value, size);
}

static inline void go_file_func(struct go_file *f, uint32_t magic, size_t i, size_t *name)
{
	const struct go_test_func *func = &go_test_funcs[i];
	size_t at = GO_FUNCS_AT + i * 44, pcsp = 1 + i * sizeof(func->pcsp);

	go_file_put(f, GO_TABLE_AT + 8 * i, i * GO_FUNC_SIZE, 4);
	go_file_put(f, GO_TABLE_AT + 8 * i + 4, at, 4);
	go_file_put(f, GO_TABLE_AT + at, i * GO_FUNC_SIZE, 4);
	go_file_put(f, GO_TABLE_AT + at + 4, *name, 4);
	go_file_put(f, GO_TABLE_AT + at + 16, func->pcsp[0] ? pcsp : 0, 4);
	/* The number of inlined functions and such, which nothing here looks at. */
	go_file_put(f, GO_TABLE_AT + at + (magic == GO_MAGIC_118 ? 36 : 40), UINT32_MAX, 4);
	strcpy((char *)f->table + GO_NAMES_AT + *name, func->name);
	*name += strlen(func->name) + 1;
	memcpy(f->table + GO_PCSP_AT + pcsp, func->pcsp, sizeof(func->pcsp));
	memcpy(f->bytes + GO_TEXT_OFFSET + i * GO_FUNC_SIZE, func->code, sizeof(func->code));
}

static inline void go_file_table(struct go_file *f, uint32_t magic)
{
	size_t name = 0;

	go_file_put(f, 0, magic, 4);
	go_file_put(f, 4, 0x08010000, 4);
	go_file_put(f, 8, GO_N_FUNCS, 8);
	go_file_put(f, 24, GO_TEXT, 8);
	go_file_put(f, 32, GO_NAMES_AT, 8);
	go_file_put(f, 40, GO_PCSP_AT, 8);
	go_file_put(f, 48, GO_PCSP_AT, 8);
	go_file_put(f, 56, GO_PCSP_AT, 8);
	go_file_put(f, 64, GO_TABLE_AT, 8);
	for (size_t i = 0; i < GO_N_FUNCS; i++)
		go_file_func(f, magic, i, &name);
	go_file_put(f, GO_TABLE_AT + 8 * GO_N_FUNCS, GO_N_FUNCS * GO_FUNC_SIZE, 4);
}

static inline void go_file_section(struct go_file *f, int i, uint32_t name, uint64_t offset,
				   uint64_t size)
{
	f->sections[i] = (Elf64_Shdr){
		.sh_name = name,
		.sh_type = SHT_PROGBITS,
		.sh_flags = SHF_ALLOC,
		.sh_addr = i == S_TEXT ? GO_TEXT : 0x800000 + offset,
		.sh_offset = offset,
		.sh_size = size,
	};
}

static inline void go_file_init(struct go_file *f, uint32_t magic)
{
	static const char names[] = "\0.text\0.gopclntab\0.go.module\0.data.rel.ro\0.go.buildinfo";

	memset(f, 0, sizeof(*f));
	f->header = (Elf64_Ehdr){
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, 1 },
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = 1,
		.e_entry = GO_TEXT,
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = S_COUNT,
		.e_shoff = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
		.e_shstrndx = S_NAMES,
	};
	f->program = (Elf64_Phdr *)(f->bytes + f->header.e_phoff);
	f->sections = (Elf64_Shdr *)(f->bytes + f->header.e_shoff);
	f->table = f->bytes + GO_TABLE_FILE;
	*f->program = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_offset = GO_TEXT_OFFSET,
		.p_vaddr = GO_TEXT,
		.p_filesz = 0x800,
		.p_memsz = 0x800,
	};
	go_file_section(f, S_TEXT, 1, GO_TEXT_OFFSET, 0x800);
	f->sections[S_TEXT].sh_flags |= SHF_EXECINSTR;
	go_file_section(f, S_PCLN, 7, GO_TABLE_FILE, GO_TABLE_BYTES);
	go_file_section(f, S_MODULE, 18, GO_MODULE_FILE, 0x100);
	go_file_section(f, S_NAMES, 0, GO_NAMES_FILE, sizeof(names));
	f->sections[S_NAMES].sh_type = SHT_STRTAB;
	memcpy(f->bytes + GO_NAMES_FILE, names, sizeof(names));
	go_file_table(f, magic);
	f->memory = (struct object_memory){ f->bytes, sizeof(f->bytes) };
	object_source_memory(&f->source, &f->memory);
}

#endif
