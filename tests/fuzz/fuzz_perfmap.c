// SPDX-License-Identifier: BSD-2-Clause
/* perf-PID.map. */
#include "process/perfmap.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(perfmap_free) struct perfmap *map = NULL;
	const char *name;
	size_t len;

	if (perfmap_parse((const char *)data, size, &map))
		return 0;
	MUST(perfmap_count(map) <= PERFMAP_SYMBOLS_MAX);
	for (unsigned int i = 0; i < 256; i++) {
		uint64_t address = i;

		/* small ones, and what a fuzzer may have put there as text */
		if (i >= 128)
			address = 1ULL << (i & 63);
		name = perfmap_find(map, address, &len);
		MUST(!name || len <= PERFMAP_NAME_MAX);
		if (name)
			MUST(!memchr(name, '\n', len));
	}
	return 0;
}
