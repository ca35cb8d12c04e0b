// SPDX-License-Identifier: BSD-2-Clause
/* Lines of /proc/PID/maps. */
#include "process/maps.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size;
	struct maps_line line;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((newline ? newline : end) - at);

		if (!maps_parse(at, len, &line)) {
			MUST(line.start < line.end);
			MUST(memchr(line.path, 0, sizeof(line.path)));
		}
		at += len + 1;
	}
	return 0;
}
