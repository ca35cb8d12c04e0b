/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "inlines.h"
#include "object.h"

#if FOLDD_HAVE_LIBDW

#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>

#define UNITS_FIRST 256
#define UNITS_MAX   1000000
#define RANGES_MAX  1000000 /* of all units */

/* A run of code that a unit describes. */
struct range {
	Dwarf_Addr start, end;
	Dwarf_Off unit;
};

struct inlines {
	void *file; /* all of it, mapped: a file that shrinks kills the worker */
	size_t size;
	Elf *elf;
	Dwarf *dwarf;
	struct range *ranges; /* by start */
	size_t n, allocated;
};

bool inlines_supported(void)
{
	return true;
}

struct inlines *inlines_free(struct inlines *n)
{
	if (n) {
		(void)dwarf_end(n->dwarf);
		(void)elf_end(n->elf);
		if (n->file != MAP_FAILED)
			(void)munmap(n->file, n->size);
		free(n->ranges);
		free(n);
	}
	return NULL;
}

static int add_range(struct inlines *n, const struct range *r)
{
	if (r->start >= r->end)
		return 0;
	if (n->n == RANGES_MAX)
		return -E2BIG;
	if (n->n == n->allocated) {
		size_t size = n->allocated ? 2 * n->allocated : UNITS_FIRST;
		struct range *ranges = realloc(n->ranges, size * sizeof(*ranges));

		if (!ranges)
			return -ENOMEM;
		n->ranges = ranges;
		n->allocated = size;
	}
	n->ranges[n->n++] = *r;
	return 0;
}

static int add_unit(struct inlines *n, Dwarf_Die *die)
{
	struct range r = { .unit = dwarf_dieoffset(die) };
	ptrdiff_t at = 0;
	Dwarf_Addr base;
	int err = 0;

	while (!err && (at = dwarf_ranges(die, at, &base, &r.start, &r.end)) > 0)
		err = add_range(n, &r);
	return err;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/*
 * Which unit has which code. Not every compiler writes .debug_aranges, so the units are asked
 * themselves.
 */
static int index_units(struct inlines *n)
{
	Dwarf_CU *unit = NULL;
	Dwarf_Die die;
	uint8_t type;

	for (int i = 0; i < UNITS_MAX; i++) {
		int err = dwarf_get_units(n->dwarf, unit, &unit, NULL, &type, &die, NULL);

		if (err)
			break;
		if (type != DW_UT_compile && type != DW_UT_skeleton)
			continue;
		err = add_unit(n, &die);
		if (err)
			return err;
	}
	if (!n->n)
		return -ENODATA;
	qsort(n->ranges, n->n, sizeof(*n->ranges), compare_ranges);
	return 0;
}

/*
 * From memory, not by the descriptor: libelf and libdw would ask more of the kernel than a
 * sandbox allows, and look for the file's name.
 */
static int open_dwarf(struct inlines *n)
{
	(void)elf_version(EV_CURRENT);
	n->elf = elf_memory(n->file, n->size);
	if (!n->elf || elf_kind(n->elf) != ELF_K_ELF)
		return -ENOEXEC;
	n->dwarf = dwarf_begin_elf(n->elf, DWARF_C_READ, NULL);
	return n->dwarf ? index_units(n) : -ENODATA;
}

int inlines_open(int fd, uint64_t size, struct inlines **ret)
{
	_cleanup_(inlines_free) struct inlines *n = NULL;
	int err;

	if (size < SELFMAG || size > SIZE_MAX)
		return -ENOEXEC;
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->size = (size_t)size;
	/* A copy on write: libelf changes the headers of sections that it decompresses. */
	n->file = mmap(NULL, n->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (n->file == MAP_FAILED)
		return -errno;
	err = open_dwarf(n);
	if (err)
		return err;
	*ret = TAKE_PTR(n);
	return 0;
}

/* The unit with code at vaddr: of ranges that overlap, the one that starts last. */
static bool find_unit(struct inlines *n, uint64_t vaddr, Dwarf_Die *ret)
{
	size_t low = 0, high = n->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (n->ranges[middle].start <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low && vaddr < n->ranges[low - 1].end &&
	       dwarf_offdie(n->dwarf, n->ranges[low - 1].unit, ret);
}

static int call_back(Dwarf_Die *die, inlines_fn fn, void *ctx)
{
	_cleanup_free_ char *demangled = NULL;
	Dwarf_Attribute attribute;
	const char *name;

	name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute));
	if (!name)
		name = dwarf_formstring(
			dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute));
	if (name)
		demangled = object_demangle(name);
	else
		name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attribute));
	if (demangled)
		name = demangled;
	if (!name || !*name || strnlen(name, OBJECT_DEMANGLED_MAX) == OBJECT_DEMANGLED_MAX)
		name = "[unknown]";
	return fn(ctx, name);
}

int inlines_at(struct inlines *n, uint64_t vaddr, inlines_fn fn, void *ctx)
{
	_cleanup_free_ Dwarf_Die *scopes = NULL, *chain = NULL;
	int count, found = 0;
	Dwarf_Die unit;

	if (!find_unit(n, vaddr, &unit))
		return -ENOENT;
	/* The first is the innermost; the others are where it was written, not where it is. */
	if (dwarf_getscopes(&unit, vaddr, &scopes) <= 0)
		return -ENOENT;
	count = dwarf_getscopes_die(&scopes[0], &chain);
	for (int i = 0; i < count && found < INLINES_DEPTH_MAX; i++) {
		int err;

		if (dwarf_tag(&chain[i]) == DW_TAG_subprogram)
			break;
		if (dwarf_tag(&chain[i]) != DW_TAG_inlined_subroutine)
			continue;
		err = call_back(&chain[i], fn, ctx);
		if (err)
			return err;
		found++;
	}
	return found;
}

#else

bool inlines_supported(void)
{
	return false;
}

struct inlines *inlines_free(struct inlines *n)
{
	(void)n;
	return NULL;
}

int inlines_open(int fd, uint64_t size, struct inlines **ret)
{
	(void)fd;
	(void)size;
	(void)ret;
	return -ENOTSUP;
}

int inlines_at(struct inlines *n, uint64_t vaddr, inlines_fn fn, void *ctx)
{
	(void)n;
	(void)vaddr;
	(void)fn;
	(void)ctx;
	return -ENOTSUP;
}

#endif

int object_inlines(int fd, uint64_t size, uint64_t vaddr, inlines_fn fn, void *ctx)
{
	_cleanup_(inlines_free) struct inlines *n = NULL;
	int err = inlines_open(fd, size, &n);

	return err ? err : inlines_at(n, vaddr, fn, ctx);
}
