// SPDX-License-Identifier: BSD-2-Clause
/* .gopclntab: the input is the table of an otherwise sound ELF file. */
#include <elf.h>
#include "object/cfi.h"
#include "fuzz.h"

#define TEXT_BYTES 4096
#define TEXT_VADDR 0x401000

static const char section_names[] = "\0.text\0.gopclntab\0.shstrtab";

struct head {
	Elf64_Ehdr file;
	Elf64_Phdr load;
	Elf64_Shdr sections[4]; /* none, .text, .gopclntab, .shstrtab */
	char names[sizeof(section_names)];
	unsigned char text[TEXT_BYTES];
};

static void make_head(struct head *h, size_t size)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->names, section_names, sizeof(section_names));
	memcpy(h->file.e_ident, ELFMAG, SELFMAG);
	h->file.e_ident[EI_CLASS] = ELFCLASS64;
	h->file.e_ident[EI_DATA] = ELFDATA2LSB;
	h->file.e_ident[EI_VERSION] = EV_CURRENT;
	h->file.e_type = ET_EXEC;
	h->file.e_machine = EM_X86_64;
	h->file.e_version = EV_CURRENT;
	h->file.e_entry = TEXT_VADDR;
	h->file.e_ehsize = sizeof(h->file);
	h->file.e_phoff = offsetof(struct head, load);
	h->file.e_phentsize = sizeof(Elf64_Phdr);
	h->file.e_phnum = 1;
	h->file.e_shoff = offsetof(struct head, sections);
	h->file.e_shentsize = sizeof(Elf64_Shdr);
	h->file.e_shnum = 4;
	h->file.e_shstrndx = 3;
	h->load = (Elf64_Phdr){ .p_type = PT_LOAD,
				.p_flags = PF_R | PF_X,
				.p_offset = offsetof(struct head, text),
				.p_vaddr = TEXT_VADDR,
				.p_filesz = TEXT_BYTES,
				.p_memsz = TEXT_BYTES };
	h->sections[1] = (Elf64_Shdr){ .sh_name = 1,
				       .sh_type = SHT_PROGBITS,
				       .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
				       .sh_addr = TEXT_VADDR,
				       .sh_offset = offsetof(struct head, text),
				       .sh_size = TEXT_BYTES };
	h->sections[2] = (Elf64_Shdr){ .sh_name = 7,
				       .sh_type = SHT_PROGBITS,
				       .sh_flags = SHF_ALLOC,
				       .sh_addr = TEXT_VADDR + 0x10000,
				       .sh_offset = sizeof(struct head),
				       .sh_size = size };
	h->sections[3] = (Elf64_Shdr){ .sh_name = 18,
				       .sh_type = SHT_STRTAB,
				       .sh_offset = offsetof(struct head, names),
				       .sh_size = sizeof(section_names) };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(symbols_free) struct symbols *symbols = NULL;
	_cleanup_(cfi_table_free) struct cfi_table *table = NULL;
	_cleanup_free_ unsigned char *file = malloc(sizeof(struct head) + size);
	struct object_memory memory = { file, sizeof(struct head) + size };
	struct object_source source;
	struct object_info info;
	struct cfi_sink sink;
	struct symbol found;
	struct head head;

	MUST(file);
	make_head(&head, size);
	memcpy(file, &head, sizeof(head));
	memcpy(file + sizeof(head), data, size);
	object_source_memory(&source, &memory);
	MUST(!object_info_read(&source, &info));
	if (!symbols_read(&source, &info, &symbols))
		for (uint64_t at = TEXT_VADDR; at < TEXT_VADDR + TEXT_BYTES; at += 64)
			if (symbols_find(symbols, at, &found))
				MUST(strlen(found.name) <= OBJECT_NAME_MAX);
	MUST(!cfi_table_new(&table));
	cfi_table_sink(table, &sink);
	if (!cfi_build(&source, &info, &sink, NULL))
		for (uint64_t at = 0; at < TEXT_BYTES; at += 64)
			(void)cfi_lookup(table, offsetof(struct head, text) + at);
	return 0;
}
