/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include "gopcln.h"
#include "symtab.h"

static int add_func(struct loader *l, const struct go_func *f, size_t base)
{
	const struct symbols *t = l->table;
	uint64_t size = f->end - f->start;
	const char *name;

	name = code_end(&l->code, f->start) ? loader_name(t, base, f->name) : NULL;
	if (!name)
		return 0;
	return loader_add(l, &(struct symbol_entry){
				     .vaddr = f->start,
				     .size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX,
				     .name = (size_t)(name - t->names) &
					     ((1U << SYMBOL_NAME_BITS) - 1),
				     .rank = SYMBOL_LOCAL,
			     });
}

int gonames_read(struct loader *l)
{
	_cleanup_(gopcln_free) struct gopcln *g = NULL;
	struct go_func f;
	size_t base;
	int err;

	err = gopcln_open(&l->image, l->info, &g);
	if (err)
		return err;
	err = loader_strings(l, g->source, g->names.offset, g->names.size, &base);
	if (err)
		return err;
	for (uint32_t i = 0; i < g->n; i++) {
		err = gopcln_func(g, i, &f);
		if (err == -EBADMSG)
			continue;
		if (!err)
			err = add_func(l, &f, base);
		if (err)
			return err;
	}
	return 0;
}
