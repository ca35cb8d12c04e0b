// SPDX-License-Identifier: BSD-2-Clause
/* Unwind rows of an ELF file: what comes out must be what the kernel side relies on. */
#include "object/cfi.h"
#include "fuzz.h"

static void check_page(const struct cfi_table *t, const struct cfi_page *page)
{
	const uint32_t *rows = t->rows + page->first;

	MUST(page->n <= CFI_PAGE_ROWS_MAX && page->first <= t->n_rows &&
	     page->n <= t->n_rows - page->first);
	for (uint32_t i = 0; i < page->n; i++) {
		MUST((rows[i] & 0xffff) < t->n_rules);
		MUST(i ? rows[i - 1] >> 16 < rows[i] >> 16 : !(rows[i] >> 16));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct object_memory memory = { data, size };
	_cleanup_(cfi_table_free) struct cfi_table *table = NULL;
	struct object_source source;
	struct object_info info;
	struct cfi_stats stats;
	struct cfi_sink sink;

	object_source_memory(&source, &memory);
	if (object_info_read(&source, &info) || cfi_table_new(&table))
		return 0;
	cfi_table_sink(table, &sink);
	if (cfi_build(&source, &info, &sink, &stats))
		return 0;
	MUST(stats.rows == table->n_rows && stats.fdes <= CFI_FDES_MAX);
	MUST(table->n_rows <= CFI_ROWS_MAX && table->n_pages <= CFI_PAGES_MAX);
	for (uint32_t i = 0; i < table->n_pages; i++)
		check_page(table, &table->pages[i]);
	for (uint64_t offset = 0; offset < size; offset += 127)
		MUST(cfi_lookup(table, offset).cfa_type <= CFI_CFA_RA_RDI);
	return 0;
}
