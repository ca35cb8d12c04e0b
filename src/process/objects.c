/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include "links.h"
#include "open.h"
#include "paths.h"
#include "roots.h"
#include "vdso.h"

#define OBJECT_OPEN_TRIES    16  /* of one file that cannot be opened, from different processes */
#define OBJECT_BUILD_ID_SURE 8   /* shorter build-ids are made by hand and name no single file */
#define OBJECT_FDS_SPARED    128 /* descriptors left for the rest of the program */

struct entry {
	struct object_file file;
	struct key key; /* the link that is kept when the others are dropped */
	bool trusted;   /* of its build-id there can be no second file: see is_trusted() */
	unsigned int tries;
};

struct objects {
	struct symd *symd;
	struct entry **all; /* [id - 1] */
	uint32_t count, allocated;
	struct links links;
	struct roots roots;
	uint64_t refused, open_failed;
	struct refused *refused_files;
	size_t fds, fds_max;
};

static struct key build_id_key(const uint8_t *build_id, size_t len)
{
	struct key k = { .kind = KEY_BUILD_ID, .build_id_len = (uint32_t)len };

	memcpy(k.build_id, build_id, len);
	return k;
}

/* What an event or a line of maps says of a file, as a key. */
static struct key seen_key(const char *path, const struct file_identity *id)
{
	struct key k;

	if (id->build_id_len) {
		k = build_id_key(id->build_id, id->build_id_len);
		if (id->build_id_len >= OBJECT_BUILD_ID_SURE)
			return k;
	} else {
		k = (struct key){ .kind = KEY_MAPS, .major = id->major, .minor = id->minor };
		k.ino = id->ino;
	}
	k.extra = table_hash(path, strlen(path));
	return k;
}

/*
 * A build-id is what a file says of itself. Anybody can give a file the build-id of libc and other
 * code, and whoever comes second would get the names and the unwind rows of the first. So the
 * build-id alone stands for a file only where no unprivileged user can have written it; others are
 * told apart by device and inode.
 */
static bool is_trusted(const struct stat *st)
{
	return st->st_uid == 0 && !(st->st_mode & S_IWOTH);
}

/* A file that is written to in place becomes another one. */
static struct key version_key(const struct object_file *f, const struct stat *st)
{
	const uint64_t version[] = { f->size, f->mtime_ns };
	struct key k;

	k = (struct key){ .kind = KEY_FILE,
			  .major = major(st->st_dev),
			  .minor = minor(st->st_dev) };
	k.ino = st->st_ino;
	k.extra = table_hash(version, sizeof(version));
	return k;
}

/* The key of an opened file. */
static struct key file_key(const struct object_file *f, const struct stat *st)
{
	if (f->id.build_id_len >= OBJECT_BUILD_ID_SURE)
		return build_id_key(f->id.build_id, f->id.build_id_len);
	return version_key(f, st);
}

/* Links are a memory of what was looked up; only one for each object must stay. */
static int link_set(struct objects *o, const struct key *k, uint32_t object)
{
	int err = links_set(&o->links, k, object);

	if (err != -ENOSPC)
		return err;
	links_release(&o->links);
	err = 0;
	for (uint32_t i = 1; i < o->count && !err; i++)
		err = links_set(&o->links, &o->all[i]->key, i + 1);
	return err ? err : links_set(&o->links, k, object);
}

static struct entry *entry_free(struct entry *e)
{
	if (!e)
		return NULL;
	if (e->file.fd >= 0)
		(void)close(e->file.fd);
	free(e->file.path);
	free(e);
	return NULL;
}
DEFINE_CLEANUP(struct entry *, entry_free)

static uint32_t entry_add(struct objects *o, const char *path, const struct object_file *f,
			  const struct key *k)
{
	_cleanup_(entry_free) struct entry *e = NULL;

	if (o->count == OBJECTS_MAX)
		return OBJECT_NONE;
	if (o->count == o->allocated) {
		uint32_t want = o->allocated ? o->allocated * 2 : 64;
		struct entry **all = realloc(o->all, want * sizeof(struct entry *));

		if (!all)
			return OBJECT_NONE;
		o->all = all;
		o->allocated = want;
	}
	e = calloc(1, sizeof(*e));
	if (!e)
		return OBJECT_NONE;
	e->file.fd = -1;
	e->file.path = strdup(path);
	if (!e->file.path || link_set(o, k, o->count + 1))
		return OBJECT_NONE;
	path = e->file.path;
	e->file = *f;
	e->file.path = (char *)(uintptr_t)path;
	e->key = *k;
	o->all[o->count++] = TAKE_PTR(e);
	return o->count;
}

/* What the file says of itself. False where it is no ELF file, or cannot be read as one. */
static bool describe(struct objects *o, int fd, const struct stat *st,
		     const struct file_identity *id, struct object_file *ret)
{
	_cleanup_free_ struct object_info *info = malloc(sizeof(*info));

	ret->fd = fd;
	ret->size = (uint64_t)st->st_size;
	ret->mtime_ns =
		(uint64_t)st->st_mtim.tv_sec * 1000000000ULL + (uint64_t)st->st_mtim.tv_nsec;
	ret->id = *id;
	if (!id->ino) {
		ret->id.major = major(st->st_dev);
		ret->id.minor = minor(st->st_dev);
		ret->id.ino = st->st_ino;
	}
	if (!info || symd_info(o->symd, fd, info))
		return false;
	memcpy(ret->id.build_id, info->build_id, info->build_id_len);
	ret->id.build_id_len = info->build_id_len;
	return true;
}

static int add_vdso(struct objects *o)
{
	const struct file_identity unknown = { 0 };
	struct object_file f = { .fd = -1, .debug_rootfd = -1 };
	const struct key key = { .kind = KEY_FILE };
	_cleanup_close_ int fd = vdso_open();
	struct stat st;

	if (fd < 0)
		f.error = fd;
	else if (fstat(fd, &st))
		f.error = -errno;
	else
		(void)describe(o, fd, &st, &unknown, &f);
	f.id.major = f.id.minor = 0; /* no process maps this very file */
	f.id.ino = 0;
	if (entry_add(o, "[vdso]", &f, &key) != OBJECT_VDSO)
		return -ENOMEM;
	(void)TAKE_FD(fd);
	return 0;
}

int objects_new(struct objects **ret)
{
	_cleanup_(objects_free) struct objects *o = calloc(1, sizeof(*o));
	struct rlimit limit;
	int err;

	if (!o)
		return -ENOMEM;
	roots_init(&o->roots);
	o->refused_files = calloc(1, sizeof(*o->refused_files));
	if (!o->refused_files)
		return -ENOMEM;
	o->fds_max = OBJECTS_MAX;
	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < OBJECTS_MAX + OBJECT_FDS_SPARED)
		o->fds_max = limit.rlim_cur > 2 * OBJECT_FDS_SPARED
				     ? (size_t)limit.rlim_cur - OBJECT_FDS_SPARED
				     : (size_t)limit.rlim_cur / 2;
	err = symd_new(&o->symd);
	if (err)
		return err;
	err = add_vdso(o);
	if (err)
		return err;
	*ret = TAKE_PTR(o);
	return 0;
}

struct objects *objects_free(struct objects *o)
{
	if (!o)
		return NULL;
	for (uint32_t i = 0; i < o->count; i++)
		(void)entry_free(o->all[i]);
	free(o->all);
	links_release(&o->links);
	roots_release(&o->roots);
	(void)symd_free(o->symd);
	free(o->refused_files);
	free(o);
	return NULL;
}

struct symd *objects_symd(const struct objects *o)
{
	return o->symd;
}

struct refused *objects_refused_files(const struct objects *o)
{
	return o->refused_files;
}

/* The file is still what it was when it was opened. */
static bool unchanged(const struct object_file *f)
{
	struct stat st;

	return !fstat(f->fd, &st) && (uint64_t)st.st_size == f->size &&
	       (uint64_t)st.st_mtim.tv_sec * 1000000000ULL + (uint64_t)st.st_mtim.tv_nsec ==
		       f->mtime_ns;
}

/* The registry stays full once it is: the file need not be opened again to be refused. */
static uint32_t refuse(struct objects *o, const struct key *seen)
{
	o->refused++;
	if (o->count == OBJECTS_MAX)
		(void)!link_set(o, seen, OBJECT_NONE);
	return OBJECT_NONE;
}

static uint32_t add_failed(struct objects *o, const char *path, const struct file_identity *id,
			   const struct mapped_at *where, const struct key *seen, int error)
{
	const struct object_file f = {
		.id = *id, .fd = -1, .error = error, .debug_rootfd = where->rootfd
	};
	uint32_t object = entry_add(o, path, &f, seen);

	if (!object)
		return refuse(o, seen);
	refused_add(o->refused_files, path, error);
	o->open_failed++;
	return object;
}

/* Give an object that had none its file. */
static void heal(struct objects *o, struct entry *e, const struct object_file *f,
		 const struct key *key, bool trusted)
{
	char *path = e->file.path;

	e->file = *f;
	e->file.path = path;
	e->key = *key;
	e->trusted = trusted;
	o->open_failed--;
	o->fds++;
}

static struct entry *find_entry(struct objects *o, const struct key *k, uint32_t *ret_object)
{
	const struct link *l = links_find(&o->links, k);

	*ret_object = l ? l->object : OBJECT_NONE;
	return *ret_object ? o->all[*ret_object - 1] : NULL;
}

static bool is_same_file(const struct entry *e, const struct stat *st)
{
	struct stat held;

	return !fstat(e->file.fd, &held) && held.st_dev == st->st_dev && held.st_ino == st->st_ino;
}

/*
 * A link by device and inode is only sure while we hold that very file open: else the inode can
 * come to mean another file. *ret_held tells.
 */
static uint32_t add_opened(struct objects *o, const char *path, const struct object_file *f,
			   const struct stat *st, bool *ret_held)
{
	struct key key = file_key(f, st);
	bool trusted = is_trusted(st);
	uint32_t object;
	struct entry *e = find_entry(o, &key, &object);

	if (e && key.kind == KEY_BUILD_ID && e->file.fd >= 0 && !e->trusted &&
	    !is_same_file(e, st)) {
		e = NULL; /* a trusted file takes the build-id over */
		if (!trusted) {
			key = version_key(f, st);
			e = find_entry(o, &key, &object);
		}
	}
	*ret_held = true;
	if (!e) {
		object = entry_add(o, path, f, &key);
		if (object) {
			o->all[object - 1]->trusted = trusted;
			o->fds++;
		} else {
			(void)close(f->fd);
		}
		return object;
	}
	if (e->file.fd < 0) {
		heal(o, e, f, &key, trusted);
		return object;
	}
	*ret_held = is_same_file(e, st);
	(void)close(f->fd);
	return object;
}

static uint32_t add_file(struct objects *o, const char *path, const struct file_identity *id,
			 const struct mapped_at *where, const struct key *seen, uint32_t failed)
{
	struct object_file f = { .fd = -1, .debug_rootfd = where->rootfd };
	bool memory = path_class(path) == PATH_MEMORY, elf, held;
	uint32_t object;
	struct stat st;
	int fd;

	fd = o->fds < o->fds_max ? open_mapped(o->symd, path, id, where, &st) : -EMFILE;
	if (fd < 0) {
		if (failed)
			o->all[failed - 1]->tries++;
		else if (fd == -EINVAL)
			(void)link_set(o, seen, OBJECT_NONE);
		if (failed || fd == -EINVAL || memory)
			return failed;
		return add_failed(o, path, id, where, seen, fd);
	}
	elf = describe(o, fd, &st, id, &f);
	if (memory && !elf) {
		(void)close(fd);
		(void)link_set(o, seen, OBJECT_NONE);
		return OBJECT_NONE;
	}
	object = add_opened(o, path, &f, &st, &held);
	if (!object)
		return refuse(o, seen);
	if (held || seen->kind == KEY_BUILD_ID)
		(void)link_set(o, seen, object);
	return object;
}

enum sighting { SIGHTING_SURE, SIGHTING_DOUBTFUL, SIGHTING_UNKNOWN };

/* What is known by this key, where that will do; *ret_failed is what has no file so far. */
static enum sighting look_up(struct objects *o, const struct key *seen, uint32_t *ret_object,
			     uint32_t *ret_failed)
{
	const struct link *l = links_find(&o->links, seen);
	const struct entry *e;

	*ret_failed = OBJECT_NONE;
	if (!l)
		return SIGHTING_UNKNOWN;
	*ret_object = l->object;
	if (l->object == OBJECT_NONE)
		return SIGHTING_SURE;
	e = o->all[l->object - 1];
	if (e->file.fd >= 0) {
		if (seen->kind == KEY_BUILD_ID)
			return e->trusted ? SIGHTING_SURE : SIGHTING_DOUBTFUL;
		return unchanged(&e->file) ? SIGHTING_SURE : SIGHTING_UNKNOWN;
	}
	if (e->tries >= OBJECT_OPEN_TRIES)
		return SIGHTING_SURE;
	*ret_failed = l->object;
	return SIGHTING_UNKNOWN;
}

uint32_t objects_add(struct objects *o, const char *path, const struct file_identity *id,
		     const struct mapped_at *where)
{
	enum path_class class = path_class(path);
	uint32_t object = OBJECT_NONE, failed;
	enum sighting sighting;
	struct key seen;

	if (class == PATH_VDSO)
		return OBJECT_VDSO;
	if (class == PATH_NOTHING || id->build_id_len > sizeof(id->build_id))
		return OBJECT_NONE;
	seen = seen_key(path, id);
	sighting = look_up(o, &seen, &object, &failed);
	if (sighting == SIGHTING_DOUBTFUL) {
		/* Whose file it is shows when it is opened; where it cannot be, it is nobody's. */
		seen.extra = table_hash(path, strlen(path));
		sighting = look_up(o, &seen, &object, &failed);
	}
	if (sighting == SIGHTING_SURE)
		return object;
	if (where->known_only && !failed) {
		o->refused++;
		return OBJECT_NONE;
	}
	return add_file(o, path, id, where, &seen, failed);
}

const struct object_file *objects_get(const struct objects *o, uint32_t object)
{
	return object && object <= o->count ? &o->all[object - 1]->file : NULL;
}

uint32_t objects_count(const struct objects *o)
{
	return o->count;
}

uint64_t objects_refused(const struct objects *o)
{
	return o->refused;
}

uint64_t objects_open_failed(const struct objects *o)
{
	return o->open_failed;
}

int objects_root_open(struct objects *o, pid_t pid)
{
	int evicted, fd = roots_open(&o->roots, pid, &evicted);

	/* The number of a closed descriptor will soon name something else. */
	for (uint32_t i = 0; evicted >= 0 && i < o->count; i++)
		if (o->all[i]->file.debug_rootfd == evicted)
			o->all[i]->file.debug_rootfd = -1;
	return fd;
}

void objects_root_use(struct objects *o, int rootfd)
{
	roots_use(&o->roots, rootfd);
}

void objects_root_unuse(struct objects *o, int rootfd)
{
	roots_unuse(&o->roots, rootfd);
}
