/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "gopcln.h"

#define MAGIC_118 0xfffffff0U /* Go 1.18 and 1.19 */
#define MAGIC_120 0xfffffff1U

#define HEADER_BYTES   72
#define SCAN_MAX       (64 << 20) /* bytes of a section that may have the table inside */
#define SCAN_ALIGN     32
#define AHEAD_MIN      512
#define MODULE_TEXT    0xb0 /* where the runtime's record of a module has the address of its code */
#define TABLE_ENTRY    8
#define FUNC_BYTES_118 40
#define FUNC_BYTES_120 44
#define FUNC_NAME      4
#define FUNC_PCSP      16

enum { W_PCLN, W_PCLN_PIE, W_RELRO, W_MODULE, W_TEXT, W_BUILDINFO, W_COUNT };

/* What precedes the table. Offsets count from the header. */
struct header {
	uint32_t magic;
	uint16_t zero;
	uint8_t code_quantum, pointer_bytes;
	uint64_t n_functions, n_files;
	uint64_t text; /* 0 from Go 1.26 on */
	uint64_t names, units, files, pcsp, table;
};

_Static_assert(sizeof(struct header) == HEADER_BYTES, "as Go writes it");

struct gopcln *gopcln_free(struct gopcln *g)
{
	free(g);
	return NULL;
}

static bool is_header(const struct header *h)
{
	return (h->magic == MAGIC_118 || h->magic == MAGIC_120) && !h->zero &&
	       h->code_quantum == 1 && h->pointer_bytes == 8;
}

int go_view(struct gopcln *g, struct go_window *w, uint64_t offset, size_t need,
	    struct cfi_bytes *ret)
{
	uint64_t left;
	bool near;
	int err;

	if (offset >= w->size)
		return -EBADMSG;
	left = w->size - offset;
	if (need > left)
		need = (size_t)left;
	if (offset < w->start || offset - w->start > w->len ||
	    w->len - (size_t)(offset - w->start) < need) {
		near = offset >= w->start && offset - w->start <= w->len + w->ahead;
		w->ahead = !near || !w->ahead ? AHEAD_MIN : w->ahead * 2;
		if (w->ahead > GO_WINDOW_MAX)
			w->ahead = GO_WINDOW_MAX;
		if (w->ahead < need)
			w->ahead = need;
		w->len = 0;
		left = left < w->ahead ? left : w->ahead;
		err = source_read(g->source, w->data, (size_t)left, w->offset + offset);
		if (err)
			return err;
		w->start = offset;
		w->len = (size_t)left;
	}
	*ret = (struct cfi_bytes){ .at = w->data + (offset - w->start), .end = w->data + w->len };
	return 0;
}

/* A linker that merges sections leaves the table somewhere in this one. */
static int scan(struct gopcln *g, Elf64_Shdr *section)
{
	uint64_t size = section->sh_size < SCAN_MAX ? section->sh_size : SCAN_MAX;
	uint64_t at = -section->sh_addr & (SCAN_ALIGN - 1);
	struct cfi_bytes b;
	struct header h;
	int err;

	g->table.offset = section->sh_offset;
	g->table.size = section->sh_size;
	for (; at < size && size - at >= sizeof(h); at += SCAN_ALIGN) {
		err = go_view(g, &g->table, at, sizeof(h), &b);
		if (err)
			return err;
		memcpy(&h, b.at, sizeof(h));
		if (!is_header(&h))
			continue;
		section->sh_offset += at;
		section->sh_addr += at;
		section->sh_size -= at;
		return 0;
	}
	return -ENOENT;
}

static int find_table(struct gopcln *g, const struct image_wanted *wanted, Elf64_Shdr *ret)
{
	for (int i = W_PCLN; i <= W_PCLN_PIE; i++)
		if (wanted[i].section.sh_type != SHT_NULL) {
			*ret = wanted[i].section;
			return 0;
		}
	if (wanted[W_RELRO].section.sh_type == SHT_NULL ||
	    wanted[W_BUILDINFO].section.sh_type == SHT_NULL)
		return -ENOENT;
	*ret = wanted[W_RELRO].section;
	return scan(g, ret);
}

/* A part of the section from one offset to another. */
static int part(const Elf64_Shdr *s, uint64_t from, uint64_t to, struct go_window *w)
{
	if (from > to || to > s->sh_size)
		return -EBADMSG;
	w->offset = s->sh_offset + from;
	w->size = to - from;
	w->start = w->len = w->ahead = 0;
	return 0;
}

static bool is_code(const struct object_info *info, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < info->n_segments; i++) {
		const struct object_segment *s = &info->segments[i];

		if (s->executable && start >= s->vaddr && end > start && end - s->vaddr <= s->vsize)
			return true;
	}
	return false;
}

/* The start of a function, counted from the text; i may be n: the end of the last one. */
static int entry_at(struct gopcln *g, uint32_t i, uint32_t *ret_start, uint32_t *ret_func)
{
	size_t need = i < g->n ? TABLE_ENTRY : TABLE_ENTRY / 2;
	struct cfi_bytes b;
	int err = go_view(g, &g->table, (uint64_t)i * TABLE_ENTRY, need, &b);

	if (err)
		return err;
	*ret_start = (uint32_t)bytes_fixed(&b, 4);
	*ret_func = i < g->n ? (uint32_t)bytes_fixed(&b, 4) : 0;
	return b.bad ? -EBADMSG : 0;
}

/*
 * With the text at the start of .text, which is where Go's own linker puts it: true where the
 * file's entry point then is what it must be.
 */
static bool is_text(struct gopcln *g, uint64_t text, uint64_t entry)
{
	char name[GO_NAME_BYTES];
	struct go_func f;
	uint32_t i;

	g->text = text;
	return entry >= text && !gopcln_find(g, entry, &i) && !gopcln_func(g, i, &f) &&
	       f.start == entry && !gopcln_name(g, &f, name) && !strncmp(name, "_rt0_", 5);
}

static int find_text(struct gopcln *g, const struct image *im, const struct image_wanted *wanted,
		     uint64_t stated)
{
	const Elf64_Shdr *module = &wanted[W_MODULE].section, *text = &wanted[W_TEXT].section;
	int err;

	if (!stated && module->sh_type != SHT_NULL &&
	    module->sh_size >= MODULE_TEXT + sizeof(stated)) {
		err = source_read(im->source, &stated, sizeof(stated),
				  module->sh_offset + MODULE_TEXT);
		if (err)
			return err;
	}
	/* The loader may be what fills it in. */
	if (!stated && text->sh_type != SHT_NULL && is_text(g, text->sh_addr, im->header.e_entry))
		stated = text->sh_addr;
	g->text = stated;
	return stated ? 0 : -ENOENT;
}

static int open_table(struct gopcln *g, const struct image *im, const struct object_info *info,
		      const struct image_wanted *wanted, const Elf64_Shdr *s)
{
	uint32_t first, last, unused;
	struct header h;
	int err;

	if (s->sh_size < sizeof(h))
		return -EBADMSG;
	err = source_read(im->source, &h, sizeof(h), s->sh_offset);
	if (err)
		return err;
	if (!is_header(&h))
		return -ENOENT;
	if (!h.n_functions)
		return -ENOENT;
	if (h.n_functions > GO_FUNCTIONS_MAX)
		return -E2BIG;
	g->n = (uint32_t)h.n_functions;
	g->func_bytes = h.magic == MAGIC_118 ? FUNC_BYTES_118 : FUNC_BYTES_120;
	if (part(s, h.table, s->sh_size, &g->table) || part(s, h.table, s->sh_size, &g->funcs) ||
	    part(s, h.names, h.units, &g->names) || part(s, h.pcsp, h.table, &g->pcsp))
		return -EBADMSG;
	err = find_text(g, im, wanted, h.text);
	if (err)
		return err;
	err = entry_at(g, 0, &first, &unused);
	if (err)
		return err;
	err = entry_at(g, g->n, &last, &unused);
	if (err)
		return err;
	g->start = g->text + first;
	g->end = g->text + last;
	return is_code(info, g->start, g->end) ? 0 : -EBADMSG;
}

int gopcln_open(const struct image *im, const struct object_info *info, struct gopcln **ret)
{
	struct image_wanted wanted[W_COUNT] = {
		[W_PCLN] = { .name = ".gopclntab" },
		[W_PCLN_PIE] = { .name = ".data.rel.ro.gopclntab" },
		[W_RELRO] = { .name = ".data.rel.ro" },
		[W_MODULE] = { .name = ".go.module" },
		[W_TEXT] = { .name = ".text" },
		[W_BUILDINFO] = { .name = ".go.buildinfo" },
	};
	_cleanup_(gopcln_free) struct gopcln *g = NULL;
	Elf64_Shdr section;
	int err;

	if (info->machine != EM_X86_64)
		return -ENOENT;
	err = image_find(im, wanted, W_COUNT);
	if (err)
		return err;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->source = im->source;
	err = find_table(g, wanted, &section);
	if (err)
		return err;
	err = open_table(g, im, info, wanted, &section);
	if (err)
		return err;
	*ret = TAKE_PTR(g);
	return 0;
}

int gopcln_func(struct gopcln *g, uint32_t i, struct go_func *ret)
{
	uint32_t start, end, func, unused;
	struct cfi_bytes b;
	struct go_func f;
	int err;

	err = entry_at(g, i, &start, &func);
	if (err)
		return err;
	err = entry_at(g, i + 1, &end, &unused);
	if (err)
		return err;
	err = go_view(g, &g->funcs, func, g->func_bytes, &b);
	if (err)
		return err;
	if (bytes_left(&b) < g->func_bytes || end <= start || (uint32_t)bytes_fixed(&b, 4) != start)
		return -EBADMSG;
	f.start = g->text + start;
	f.end = g->text + end;
	f.name = (uint32_t)bytes_fixed(&b, 4);
	bytes_skip(&b, FUNC_PCSP - FUNC_NAME - 4);
	f.pcsp = (uint32_t)bytes_fixed(&b, 4);
	*ret = f;
	return 0;
}

int gopcln_name(struct gopcln *g, const struct go_func *f, char ret[GO_NAME_BYTES])
{
	struct cfi_bytes b;
	size_t n;
	int err = go_view(g, &g->names, f->name, GO_NAME_BYTES, &b);

	if (err)
		return err;
	n = bytes_left(&b) < GO_NAME_BYTES ? bytes_left(&b) : GO_NAME_BYTES - 1;
	memset(ret, 0, GO_NAME_BYTES);
	memcpy(ret, b.at, n);
	return 0;
}

int gopcln_find(struct gopcln *g, uint64_t vaddr, uint32_t *ret)
{
	uint32_t low = 0, high = g->n, start, unused;
	int err;

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		err = entry_at(g, middle, &start, &unused);
		if (err)
			return err;
		if (g->text + start <= vaddr)
			low = middle;
		else
			high = middle;
	}
	*ret = low;
	return 0;
}
