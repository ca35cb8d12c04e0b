// SPDX-License-Identifier: BSD-2-Clause
/*
 * The section .gnu_debuglink alone: the input is its contents, the file around it is sound, so
 * that every input gets to the code that reads it.
 */
#include <elf.h>
#include "object/object.h"
#include "fuzz.h"

#define CONTENTS_MAX 4096

struct file {
	Elf64_Ehdr header;
	Elf64_Shdr sections[3];
	char names[32];
	uint8_t contents[CONTENTS_MAX];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char names[] = "\0.gnu_debuglink\0.shstrtab";
	struct file f = {
		.header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			    .e_type = ET_DYN,
			    .e_machine = EM_X86_64,
			    .e_version = EV_CURRENT,
			    .e_ehsize = sizeof(Elf64_Ehdr),
			    .e_shoff = offsetof(struct file, sections),
			    .e_shentsize = sizeof(Elf64_Shdr),
			    .e_shnum = 3,
			    .e_shstrndx = 2 },
	};
	struct object_memory memory = { &f, sizeof(f) };
	struct object_source source;
	struct object_info info;
	uint32_t crc;

	if (size > CONTENTS_MAX)
		return 0;
	memcpy(f.names, names, sizeof(names));
	memcpy(f.contents, data, size);
	f.sections[1] = (Elf64_Shdr){ .sh_name = 1,
				      .sh_type = SHT_PROGBITS,
				      .sh_offset = offsetof(struct file, contents),
				      .sh_size = size };
	f.sections[2] = (Elf64_Shdr){ .sh_name = 16,
				      .sh_type = SHT_STRTAB,
				      .sh_offset = offsetof(struct file, names),
				      .sh_size = sizeof(names) };
	object_source_memory(&source, &memory);
	if (object_info_read(&source, &info))
		return 0;
	MUST(memchr(info.debuglink, 0, sizeof(info.debuglink)));
	MUST(!strchr(info.debuglink, '/') && strcmp(info.debuglink, ".."));
	MUST(!object_crc32(&source, &crc));
	return 0;
}
