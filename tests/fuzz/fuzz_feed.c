// SPDX-License-Identifier: BSD-2-Clause
/* Raw records of perf events, as they lie in the ring: one behind the other. */
#include <linux/perf_event.h>
#include "process/feed.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	while (size) {
		struct perf_event_header header;
		struct feed_event event;
		size_t len = size;
		void *record;

		if (size >= sizeof(header)) {
			memcpy(&header, data, sizeof(header));
			if (header.size >= sizeof(header) && header.size < size)
				len = header.size;
		}
		/* a copy of its own, so that reading behind it is seen */
		record = malloc(len);
		if (!record)
			return 0;
		memcpy(record, data, len);
		if (feed_parse(record, len, &event) == 1) {
			MUST(event.type <= FEED_LOST);
			if (event.type == FEED_MMAP) {
				MUST(strlen(event.text) < FEED_PATH_MAX);
				MUST(event.id.build_id_len <= OBJECT_BUILD_ID_MAX);
			}
		}
		free(record);
		data += len;
		size -= len;
	}
	return 0;
}
