/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include "open.h"
#include "roots.h"

void roots_init(struct roots *r)
{
	*r = (struct roots){ 0 };
	for (size_t i = 0; i < ROOTS_MAX; i++)
		r->all[i].fd = -1;
}

void roots_release(struct roots *r)
{
	for (size_t i = 0; i < ROOTS_MAX; i++)
		if (r->all[i].fd >= 0)
			(void)close(r->all[i].fd);
	roots_init(r);
}

static struct root *by_fd(struct roots *r, int fd)
{
	for (size_t i = 0; fd >= 0 && i < ROOTS_MAX; i++)
		if (r->all[i].fd == fd)
			return &r->all[i];
	return NULL;
}

static struct root *by_key(struct roots *r, const struct root *key)
{
	for (size_t i = 0; i < ROOTS_MAX; i++) {
		struct root *t = &r->all[i];

		if (t->fd >= 0 && t->dev == key->dev && t->ino == key->ino &&
		    t->mount_ns == key->mount_ns)
			return t;
	}
	return NULL;
}

/* A free place, else that of the root that has been without users the longest. */
static struct root *find_place(struct roots *r)
{
	struct root *best = NULL;

	for (size_t i = 0; i < ROOTS_MAX; i++) {
		struct root *t = &r->all[i];

		if (t->fd < 0)
			return t;
		if (!t->users && (!best || t->last_use < best->last_use))
			best = t;
	}
	return best;
}

static int read_key(pid_t pid, struct root *ret)
{
	char path[32];
	struct stat root, ns;

	(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	if (stat(path, &root))
		return errno == ENOENT ? -ESRCH : -errno;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	if (stat(path, &ns))
		return errno == ENOENT ? -ESRCH : -errno;
	ret->dev = root.st_dev;
	ret->ino = root.st_ino;
	ret->mount_ns = ns.st_ino;
	return 0;
}

int roots_open(struct roots *r, pid_t pid, int *ret_evicted)
{
	struct root key = { 0 }, *t;
	int err, fd;

	*ret_evicted = -1;
	err = read_key(pid, &key);
	if (err)
		return err;
	t = by_key(r, &key);
	if (!t) {
		t = find_place(r);
		if (!t)
			return -EMFILE;
		fd = open_root(pid);
		if (fd < 0)
			return fd;
		if (t->fd >= 0) {
			*ret_evicted = t->fd;
			(void)close(t->fd);
		}
		*t = key;
		t->fd = fd;
	}
	t->users++;
	t->last_use = ++r->uses;
	return t->fd;
}

void roots_use(struct roots *r, int fd)
{
	struct root *t = by_fd(r, fd);

	if (t)
		t->users++;
}

void roots_unuse(struct roots *r, int fd)
{
	struct root *t = by_fd(r, fd);

	if (t && t->users)
		t->users--;
}
