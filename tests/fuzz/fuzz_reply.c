// SPDX-License-Identifier: BSD-2-Clause
/* What foldd-symd may say, were it taken over by a file: the first byte chooses the kind of reply.
 */
#include "object/flat.h"
#include "symd/protocol.h"
#include "fuzz.h"

static void symbols(const void *data, size_t size)
{
	_cleanup_(symbols_free) struct symbols *t = NULL;
	struct symbol found;

	if (flat_symbols_view(data, size, &t))
		return;
	for (unsigned int i = 0; i < 64; i++)
		if (symbols_find(t, 1ULL << i, &found))
			MUST(strlen(found.name) <= OBJECT_NAME_MAX && found.size);
}

static void rows(const void *data, size_t size)
{
	struct cfi_table table;
	struct cfi_stats stats;

	if (flat_rows_view(data, size, &table, &stats))
		return;
	for (unsigned int i = 0; i < 48; i++)
		(void)cfi_lookup(&table, 1ULL << i);
}

static void info(const void *data, size_t size)
{
	struct symd_info from;
	struct object_info to;

	if (size != sizeof(from))
		return;
	memcpy(&from, data, sizeof(from));
	if (symd_info_unpack(&from, &to))
		return;
	MUST(to.n_segments <= OBJECT_SEGMENTS_MAX && to.build_id_len <= OBJECT_BUILD_ID_MAX);
	MUST(memchr(to.debuglink, '\0', sizeof(to.debuglink)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	void *aligned; /* replies are mapped: aligned, and of their exact size */

	if (size < 2)
		return 0;
	aligned = malloc(size - 1);
	MUST(aligned);
	memcpy(aligned, data + 1, size - 1);
	switch (data[0] & 3) {
	case 0:
		symbols(aligned, size - 1);
		break;
	case 1:
		rows(aligned, size - 1);
		break;
	case 2:
		info(aligned, size - 1);
		break;
	default:
		(void)symd_inlines_check(aligned, size - 1, data[0] >> 2);
	}
	free(aligned);
	return 0;
}
