/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "base/table.h"
#include "debugfile.h"
#include "inlined.h"
#include "kallsyms.h"
#include "names.h"
#include "open.h"
#include "perfmap.h"

#define NAMES_BYTES_MAX    (256 << 20) /* symbol tables in memory; beyond it, bracket forms */
#define NAMES_JIT_MAPS_MAX 4096
#define NAMES_PLAIN_MAX    (16 << 20) /* bytes of demangled names that are kept */

/* An object's tables, read at the first frame in it. All are NULL where that failed. */
struct named {
	bool loaded;
	struct object_info *info; /* its segments turn file offsets to addresses */
	struct symd_symbols *own;
	struct symd_symbols *debug; /* of the separate file; has the same addresses */
};

struct jit {
	uint32_t serial;
	struct perfmap *map; /* NULL: none */
};

/* A demangled name. Its bytes are at text in plain_texts. */
struct plain {
	const char *name; /* in its table, which stays */
	size_t text, len;
};

struct names {
	const struct objects *objects;
	struct symd *symd;
	struct processes *processes;
	struct named *objects_named; /* by object id */
	uint32_t n_objects;
	struct jit *jits;
	uint32_t n_jits, jits_allocated;
	struct table jit_index; /* by serial */
	struct plain *plains;
	uint32_t n_plains, plains_allocated;
	struct table plain_index; /* by name, the pointer */
	struct buf plain_texts;
	struct inlined *inlined; /* NULL: not wanted */
	struct kallsyms *kernel;
	bool kernel_loaded;
	int kernel_error;
	size_t bytes;
};

int names_new(const struct objects *objects, struct processes *processes, struct names **ret)
{
	struct names *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->objects = objects;
	n->symd = objects_symd(objects);
	n->processes = processes;
	n->kernel_error = kallsyms_check();
	buf_init(&n->plain_texts, NAMES_PLAIN_MAX);
	*ret = n;
	return 0;
}

struct names *names_free(struct names *n)
{
	if (!n)
		return NULL;
	for (uint32_t i = 0; i < n->n_objects; i++) {
		free(n->objects_named[i].info);
		(void)symd_symbols_free(n->objects_named[i].own);
		(void)symd_symbols_free(n->objects_named[i].debug);
	}
	for (uint32_t i = 0; i < n->n_jits; i++)
		(void)perfmap_free(n->jits[i].map);
	free(n->objects_named);
	free(n->jits);
	table_release(&n->jit_index);
	free(n->plains);
	table_release(&n->plain_index);
	buf_release(&n->plain_texts);
	(void)inlined_free(n->inlined);
	(void)kallsyms_free(n->kernel);
	free(n);
	return NULL;
}

/* Account for a table that has been read, or drop it where there is no room for it. */
static struct symd_symbols *take_symbols(struct names *n, struct symd_symbols *t)
{
	size_t bytes = symd_symbols_bytes(t);

	if (bytes > NAMES_BYTES_MAX - n->bytes)
		return symd_symbols_free(t);
	n->bytes += bytes;
	return t;
}

/* Most objects are open. Where descriptors ran out, the file may still be where it was. */
static int reopen(struct symd *symd, const struct object_file *f)
{
	const struct mapped_at nowhere = { .rootfd = f->debug_rootfd };
	struct stat st;

	if (!f->id.build_id_len && !f->id.ino)
		return -ENOENT;
	return open_mapped(symd, f->path, &f->id, &nowhere, &st);
}

/* A file can be overwritten in place after it was opened. */
static bool is_still(const struct object_file *f, const struct object_info *info, int fd)
{
	struct stat st;

	if (f->id.build_id_len)
		return info->build_id_len == f->id.build_id_len &&
		       !memcmp(info->build_id, f->id.build_id, info->build_id_len);
	if (f->fd < 0)
		return true; /* just opened and verified */
	return !fstat(fd, &st) && (uint64_t)st.st_size == f->size &&
	       (uint64_t)st.st_mtim.tv_sec * 1000000000ULL + (uint64_t)st.st_mtim.tv_nsec ==
		       f->mtime_ns;
}

static void load_debug(struct names *n, const struct object_file *f, struct named *named)
{
	_cleanup_free_ struct object_info *info = malloc(sizeof(*info));
	_cleanup_close_ int fd = -1;
	struct symd_symbols *t;

	if (!info)
		return;
	fd = debugfile_open(n->symd, f, named->info, objects_refused_files(n->objects), info);
	if (fd >= 0 && !symd_symbols(n->symd, fd, &t))
		named->debug = take_symbols(n, t);
}

static void load_object(struct names *n, uint32_t object, const struct object_file *f,
			struct named *named)
{
	_cleanup_free_ struct object_info *info = malloc(sizeof(*info));
	_cleanup_close_ int reopened = -1;
	struct symd_symbols *t;
	int fd = f->fd;

	named->loaded = true;
	if (!info)
		return;
	if (fd < 0)
		fd = reopened = reopen(n->symd, f);
	if (fd < 0 || symd_info(n->symd, fd, info) || !is_still(f, info, f->fd))
		return;
	named->info = TAKE_PTR(info);
	if (!symd_symbols(n->symd, fd, &t))
		named->own = take_symbols(n, t);
	if (!named->info->has_symtab && object != OBJECT_VDSO)
		load_debug(n, f, named);
}

static struct named *get_named(struct names *n, uint32_t object, const struct object_file *f)
{
	struct named *named;

	if (object >= n->n_objects) {
		uint32_t want = objects_count(n->objects) + 1;

		named = realloc(n->objects_named, want * sizeof(*named));
		if (!named)
			return NULL;
		memset(named + n->n_objects, 0, (want - n->n_objects) * sizeof(*named));
		n->objects_named = named;
		n->n_objects = want;
	}
	named = &n->objects_named[object];
	if (!named->loaded)
		load_object(n, object, f, named);
	return named;
}

/*
 * Public names are better known than the internal ones of the debug file (read against
 * __GI___libc_read), so they win where both name the same function. Returns the table it is of.
 */
static const struct symd_symbols *find_symbol(const struct named *named, uint64_t vaddr,
					      struct symbol *ret)
{
	struct symbol public, full;
	bool has_public = named->own && symd_symbols_find(named->own, vaddr, &public);

	if (!named->debug || !symd_symbols_find(named->debug, vaddr, &full)) {
		if (has_public)
			*ret = public;
		return has_public ? named->own : NULL;
	}
	if (has_public && public.vaddr == full.vaddr) {
		*ret = public;
		return named->own;
	}
	*ret = full;
	return named->debug;
}

static bool equal_name(const void *owner, uint32_t i, const void *key)
{
	return ((const struct names *)owner)->plains[i].name == *(const char *const *)key;
}

/* Failing to keep it costs another question at the next frame of the function, no more. */
static void keep_plain(struct names *n, uint32_t hash, const char *name, const char *text,
		       size_t len)
{
	size_t at = n->plain_texts.len;

	if (n->n_plains == n->plains_allocated) {
		uint32_t want = n->plains_allocated ? n->plains_allocated * 2 : 256;
		struct plain *plains = realloc(n->plains, want * sizeof(*plains));

		if (!plains)
			return;
		n->plains = plains;
		n->plains_allocated = want;
	}
	if (buf_add(&n->plain_texts, text, len) || table_insert(&n->plain_index, hash, n->n_plains))
		return;
	n->plains[n->n_plains++] = (struct plain){ name, at, len };
}

/* The worker demangles, once per function. */
static void add_demangled(struct names *n, const struct symd_symbols *from, const char *name,
			  struct buf *out)
{
	uint32_t hash = table_hash(&name, sizeof(name));
	uint32_t i = table_find(&n->plain_index, hash, &name, equal_name, n);
	size_t at = out->len;

	if (i != TABLE_NONE)
		(void)buf_add(out, n->plain_texts.data + n->plains[i].text, n->plains[i].len);
	else if (symd_demangle(n->symd, from, name, out))
		(void)buf_adds(out, name);
	else
		keep_plain(n, hash, name, out->data + at, out->len - at);
}

static void add_base_name(const char *path, struct buf *out)
{
	static const char deleted[] = " (deleted)";
	const char *slash = strrchr(path, '/');
	size_t len;

	if (slash && slash[1])
		path = slash + 1;
	else if (path[0] == '[')
		path++; /* [vdso] gets its brackets from the caller */
	len = strlen(path);
	if (len > sizeof(deleted) - 1 && !strcmp(path + len - sizeof(deleted) + 1, deleted))
		len -= sizeof(deleted) - 1;
	if (len && path[len - 1] == ']')
		len--;
	(void)buf_add(out, path, len);
}

bool names_object(struct names *n, uint32_t object, uint64_t offset, struct buf *out)
{
	const struct object_file *f = objects_get(n->objects, object);
	const struct named *named = f ? get_named(n, object, f) : NULL;
	const struct symd_symbols *from = NULL;
	uint64_t address = offset;
	struct symbol symbol;

	if (!f) {
		(void)buf_printf(out, "[unknown+0x%llx]", (unsigned long long)offset);
		return false;
	}
	if (named && named->info && !object_vaddr(named->info, offset, &address))
		from = find_symbol(named, address, &symbol);
	if (from) {
		add_demangled(n, from, symbol.name, out);
		return true;
	}
	(void)buf_addc(out, '[');
	add_base_name(f->path, out);
	(void)buf_printf(out, "+0x%llx]", (unsigned long long)address);
	return false;
}

int names_want_inlines(struct names *n)
{
	return n->inlined ? 0 : inlined_new(n->objects, &n->inlined);
}

bool names_has_inlines(const struct names *n)
{
	return n->inlined;
}

/* The file of an object once more, if it still is what its info says: the caller's to close. */
static int open_own(const struct names *n, const struct object_file *f)
{
	_cleanup_free_ struct object_info *info = malloc(sizeof(*info));
	_cleanup_close_ int fd = -1;

	if (!info)
		return -ENOMEM;
	fd = f->fd >= 0 ? fcntl(f->fd, F_DUPFD_CLOEXEC, 0) : reopen(n->symd, f);
	if (fd < 0 || symd_info(n->symd, fd, info) || !is_still(f, info, f->fd))
		return -ENOENT;
	return TAKE_FD(fd);
}

size_t names_inlines(struct names *n, uint32_t object, uint64_t offset, struct buf *out)
{
	const struct object_file *f = n->inlined ? objects_get(n->objects, object) : NULL;
	const struct named *named = f ? get_named(n, object, f) : NULL;
	uint64_t address;
	int count;

	if (!named || !named->info || object == OBJECT_VDSO ||
	    object_vaddr(named->info, offset, &address))
		return 0;
	count = inlined_kept(n->inlined, object, address, out);
	if (count >= 0)
		return (size_t)count;
	if (!inlined_is_open(n->inlined, object))
		inlined_open(n->inlined, object, open_own(n, f));
	return inlined_find(n->inlined, named->info, address, out);
}

static bool equal_serial(const void *owner, uint32_t i, const void *key)
{
	return ((const struct names *)owner)->jits[i].serial == *(const uint32_t *)key;
}

static struct perfmap *read_perf_map(struct names *n, uint32_t serial)
{
	struct process *proc = processes_by_serial(n->processes, serial);
	int fd = proc ? process_perf_map(proc) : -ESRCH;
	struct perfmap *map;
	char path[48];
	int err;

	if (fd < 0)
		return NULL;
	err = perfmap_read(fd, &map);
	if (err) {
		(void)snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)proc->ns_pid);
		refused_add(objects_refused_files(n->objects), path, err);
		return NULL;
	}
	if (perfmap_bytes(map) > NAMES_BYTES_MAX - n->bytes)
		return perfmap_free(map);
	n->bytes += perfmap_bytes(map);
	return map;
}

static const struct perfmap *get_perf_map(struct names *n, uint32_t serial)
{
	uint32_t hash = table_hash(&serial, sizeof(serial));
	uint32_t i = table_find(&n->jit_index, hash, &serial, equal_serial, n);

	if (i != TABLE_NONE)
		return n->jits[i].map;
	if (n->n_jits == NAMES_JIT_MAPS_MAX)
		return NULL;
	if (n->n_jits == n->jits_allocated) {
		uint32_t want = n->jits_allocated ? n->jits_allocated * 2 : 16;
		struct jit *jits = realloc(n->jits, want * sizeof(*jits));

		if (!jits)
			return NULL;
		n->jits = jits;
		n->jits_allocated = want;
	}
	if (table_insert(&n->jit_index, hash, n->n_jits))
		return NULL;
	n->jits[n->n_jits] = (struct jit){ .serial = serial, .map = read_perf_map(n, serial) };
	return n->jits[n->n_jits++].map;
}

bool names_jit(struct names *n, uint32_t process_serial, uint64_t address, struct buf *out)
{
	const struct perfmap *map = get_perf_map(n, process_serial);
	size_t len = 0;
	const char *name = map ? perfmap_find(map, address, &len) : NULL;

	if (name)
		(void)buf_add(out, name, len);
	else
		(void)buf_adds(out, "[jit]");
	return name;
}

bool names_kernel(struct names *n, uint64_t address, struct buf *out)
{
	struct kallsyms_symbol symbol;

	if (!n->kernel_loaded && !n->kernel_error) {
		n->kernel_loaded = true;
		n->kernel_error = kallsyms_load(&n->kernel);
	}
	if (!n->kernel || !kallsyms_find(n->kernel, address, &symbol)) {
		(void)buf_adds(out, "[kernel]");
		return false;
	}
	(void)buf_adds(out, symbol.name);
	return true;
}

const char *names_kernel_problem(const struct names *n)
{
	switch (n->kernel_error) {
	case 0:
		return NULL;
	case -EPERM:
		return "the kernel hides its addresses: kernel.kptr_restrict, or CAP_SYSLOG is "
		       "missing";
	case -ENOENT:
		return "/proc/kallsyms is missing or does not tell where the kernel's text is";
	default:
		return "/proc/kallsyms cannot be read";
	}
}

size_t names_bytes(const struct names *n)
{
	return n->bytes + n->plain_texts.len + (n->inlined ? inlined_bytes(n->inlined) : 0) +
	       (n->kernel ? kallsyms_bytes(n->kernel) : 0);
}
