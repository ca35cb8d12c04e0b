// SPDX-License-Identifier: BSD-2-Clause
/* Identity, segments and symbols of an ELF file, and the names in it. */
#include "object/object.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct object_memory memory = { data, size };
	_cleanup_(symbols_free) struct symbols *symbols = NULL;
	struct object_source source;
	struct object_info info;
	struct symbol symbol;
	uint64_t vaddr;

	object_source_memory(&source, &memory);
	if (object_info_read(&source, &info))
		return 0;
	MUST(info.n_segments <= OBJECT_SEGMENTS_MAX && info.build_id_len <= OBJECT_BUILD_ID_MAX);
	MUST(memchr(info.debuglink, 0, sizeof(info.debuglink)) && !strchr(info.debuglink, '/'));
	if (symbols_read(&source, &info, &symbols))
		return 0;
	MUST(symbols_count(symbols) && symbols_count(symbols) <= OBJECT_SYMBOLS_MAX);
	for (uint64_t offset = 0; offset < size; offset += 61) {
		if (object_vaddr(&info, offset, &vaddr) || !symbols_find(symbols, vaddr, &symbol))
			continue;
		MUST(symbol.size && vaddr - symbol.vaddr < symbol.size);
		MUST(strlen(symbol.name) <= OBJECT_NAME_MAX);
		free(object_demangle(symbol.name));
	}
	return 0;
}
