/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "base/file.h"
#include "base/text.h"
#include "kallsyms.h"

#define LAST_SYMBOL_MAX 65536 /* code past the last symbol of a module of unknown size */
#define NO_MODULE       UINT32_MAX
#define NO_NAME         UINT32_MAX /* sorts behind every name */
#define NAMES_MAX       UINT32_MAX /* names are found by 32-bit offsets */

struct entry {
	uint64_t address;
	uint32_t name;   /* offset in names */
	uint32_t module; /* index of modules, or NO_MODULE */
};

struct module {
	uint32_t name;
	uint64_t start, end; /* 0, 0: not in /proc/modules ([bpf] and the like) */
};

struct kallsyms {
	struct entry *entries;
	size_t count, allocated;
	struct module modules[KALLSYMS_MODULES_MAX];
	uint32_t n_modules;
	uint64_t text_start, text_end;
	bool nonzero;
	struct buf names;
};

struct kallsyms *kallsyms_free(struct kallsyms *k)
{
	if (!k)
		return NULL;
	free(k->entries);
	buf_release(&k->names);
	free(k);
	return NULL;
}

/* One blank-separated word of a line. Empty at the end. */
static size_t word(const char **p, const char *end, const char **ret)
{
	while (*p < end && (**p == ' ' || **p == '\t'))
		(*p)++;
	*ret = *p;
	while (*p < end && **p != ' ' && **p != '\t')
		(*p)++;
	return (size_t)(*p - *ret);
}

static int add_name(struct kallsyms *k, const char *name, size_t len, uint32_t *ret)
{
	size_t at = k->names.len;

	if (buf_add(&k->names, name, len) || buf_addc(&k->names, '\0'))
		return k->names.error;
	*ret = (uint32_t)at;
	return 0;
}

static uint32_t find_module(struct kallsyms *k, const char *name, size_t len)
{
	/* Modules come one after the other: the last one is nearly always it. */
	for (uint32_t i = k->n_modules; i-- > 0;) {
		const char *have = k->names.data + k->modules[i].name;

		if (strlen(have) == len && !memcmp(have, name, len))
			return i;
	}
	if (k->n_modules == KALLSYMS_MODULES_MAX ||
	    add_name(k, name, len, &k->modules[k->n_modules].name))
		return NO_MODULE;
	return k->n_modules++;
}

/* "name size references users state 0xaddress ..." */
static void parse_module(struct kallsyms *k, const char *p, const char *end)
{
	const char *name, *skip, *address;
	size_t len = word(&p, end, &name);
	uint64_t size, start;
	uint32_t m;

	while (p < end && *p == ' ')
		p++;
	if (!len || text_scan_u64(&p, end, 10, &size))
		return;
	for (int i = 0; i < 3; i++)
		(void)word(&p, end, &skip);
	if (word(&p, end, &address) < 3 || address[0] != '0' || address[1] != 'x')
		return;
	address += 2;
	if (text_scan_u64(&address, end, 16, &start))
		return;
	m = find_module(k, name, len);
	if (m == NO_MODULE || __builtin_add_overflow(start, size, &k->modules[m].end))
		return;
	k->modules[m].start = start;
}

static bool is(const char *name, size_t len, const char *want)
{
	return len == strlen(want) && !memcmp(name, want, len);
}

/* The marks of the text's bounds are no functions. True where this was one. */
static bool mark(struct kallsyms *k, const char *name, size_t len, uint64_t address)
{
	if (is(name, len, "_stext") || is(name, len, "_text")) {
		if (!k->text_start || is(name, len, "_stext"))
			k->text_start = address;
		return true;
	}
	if (is(name, len, "_etext")) {
		k->text_end = address;
		return true;
	}
	return false;
}

/* __sched_text_start and the like: at such an address what was before ends, and it is no name. */
static bool is_bound(const char *name, size_t len)
{
	return len > 12 && !memcmp(name, "__", 2) &&
	       (!memcmp(name + len - 9, "_text_end", 9) ||
		!memcmp(name + len - 11, "_text_start", 11));
}

/* "address type name" or "address type name\t[module]" */
static int parse_symbol(struct kallsyms *k, const char *p, const char *end)
{
	const char *type, *name, *module;
	uint32_t m = NO_MODULE, at = 0;
	uint64_t address;
	size_t len;

	if (text_scan_u64(&p, end, 16, &address) || word(&p, end, &type) != 1)
		return 0;
	len = word(&p, end, &name);
	k->nonzero |= address != 0;
	if (!len || mark(k, name, len, address) || !memchr("tTwW", *type, 4))
		return 0;
	if (k->count == KALLSYMS_SYMBOLS_MAX)
		return -EFBIG;
	if (k->count == k->allocated) {
		size_t want = k->allocated ? k->allocated * 2 : 4096;
		struct entry *e = realloc(k->entries, want * sizeof(*e));

		if (!e)
			return -ENOMEM;
		k->entries = e;
		k->allocated = want;
	}
	if (is_bound(name, len))
		at = NO_NAME;
	else if (add_name(k, name, len, &at))
		return k->names.error;
	len = word(&p, end, &module);
	if (len > 2 && module[0] == '[') {
		m = find_module(k, module + 1, len - 2);
		if (m == NO_MODULE)
			return 0;
	}
	k->entries[k->count++] = (struct entry){ .address = address, .name = at, .module = m };
	return 0;
}

/* Of several names at one address the first one in the file is taken, as the kernel does. */
static int compare_entries(const void *va, const void *vb)
{
	const struct entry *a = va, *b = vb;

	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	return a->name < b->name ? -1 : a->name > b->name;
}

static void finish(struct kallsyms *k)
{
	size_t n = 0;

	qsort(k->entries, k->count, sizeof(*k->entries), compare_entries);
	for (size_t i = 0; i < k->count; i++)
		if (!n || k->entries[n - 1].address != k->entries[i].address)
			k->entries[n++] = k->entries[i];
	k->count = n;
}

int kallsyms_parse(const char *symbols, size_t symbols_len, const char *modules, size_t modules_len,
		   struct kallsyms **ret)
{
	_cleanup_(kallsyms_free) struct kallsyms *k = calloc(1, sizeof(*k));
	const char *p, *end, *newline;

	if (!k)
		return -ENOMEM;
	buf_init(&k->names, KALLSYMS_BYTES_MAX);
	end = modules + modules_len;
	for (p = modules; p < end; p = newline + 1) {
		newline = memchr(p, '\n', (size_t)(end - p));
		if (!newline)
			break;
		parse_module(k, p, newline);
	}
	end = symbols + symbols_len;
	for (p = symbols; p < end; p = newline + 1) {
		int err;

		newline = memchr(p, '\n', (size_t)(end - p));
		if (!newline)
			break;
		err = parse_symbol(k, p, newline);
		if (err)
			return err;
	}
	if (!k->nonzero)
		return -EPERM;
	if (!k->text_start || k->text_end <= k->text_start)
		return -ENOENT;
	finish(k);
	*ret = TAKE_PTR(k);
	return 0;
}

int kallsyms_load(struct kallsyms **ret)
{
	_cleanup_buf_ struct buf symbols;
	_cleanup_buf_ struct buf modules;
	int err;

	buf_init(&symbols, KALLSYMS_BYTES_MAX);
	buf_init(&modules, KALLSYMS_BYTES_MAX);
	err = file_read("/proc/kallsyms", &symbols);
	if (err)
		return err;
	/* A kernel without modules has no such file. */
	(void)!file_read("/proc/modules", &modules);
	return kallsyms_parse(symbols.data, symbols.len, modules.data, modules.len, ret);
}

int kallsyms_check(void)
{
	_cleanup_close_ int fd = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC);
	char text[4096];
	const char *p = text, *end;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text));
	if (n < 0)
		return -errno;
	end = text + n;
	while (p < end) {
		uint64_t address;

		if (text_scan_u64(&p, end, 16, &address))
			break;
		/* Per-CPU symbols, which old kernels list first, do begin at 0. */
		if (address)
			return 0;
		p = memchr(p, '\n', (size_t)(end - p));
		if (!p)
			break;
		p++;
	}
	return -EPERM;
}

size_t kallsyms_count(const struct kallsyms *k)
{
	return k->count;
}

size_t kallsyms_bytes(const struct kallsyms *k)
{
	return sizeof(*k) + k->allocated * sizeof(*k->entries) + k->names.allocated;
}

/* Whether the code of entry i can reach to the address, which is before the next entry. */
static bool reaches(const struct kallsyms *k, const struct entry *e, uint64_t address)
{
	const struct module *m;

	if (e->module == NO_MODULE)
		return address >= k->text_start && address < k->text_end;
	m = &k->modules[e->module];
	if (m->end && e->address >= m->start && e->address < m->end)
		return address < m->end;
	return address - e->address < LAST_SYMBOL_MAX;
}

bool kallsyms_find(const struct kallsyms *k, uint64_t address, struct kallsyms_symbol *ret)
{
	size_t low = 0, high = k->count;
	const struct entry *e;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (k->entries[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || !reaches(k, &k->entries[low - 1], address))
		return false;
	e = &k->entries[low - 1];
	if (e->name == NO_NAME)
		return false;
	ret->name = k->names.data + e->name;
	ret->module = e->module == NO_MODULE ? NULL : k->names.data + k->modules[e->module].name;
	ret->address = e->address;
	return true;
}
