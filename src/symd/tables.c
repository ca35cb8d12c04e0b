/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "client.h"
#include "object/flat.h"

struct mapped {
	const void *data;
	size_t len;
};

struct symd_symbols {
	struct mapped memory;
	struct symbols *view;
	struct file_key key;
	char path[SYMD_REFUSAL_PATH_MAX]; /* whom to blame for a name */
};

struct symd_rows {
	struct mapped memory;
	struct cfi_table view;
	struct cfi_stats stats;
};

/*
 * The bytes of a reply, once nobody can change or shorten them under us: reading them is as safe
 * as reading our own. -EBADMSG where they are not sealed or not as many as was said.
 */
static int map_sealed(int fd, uint64_t size, struct mapped *ret)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *p;

	if (seals < 0 || (seals & SYMD_SEALS) != SYMD_SEALS || fstat(fd, &st) ||
	    size > SYMD_TABLE_MAX || !size || (uint64_t)st.st_size != size)
		return -EBADMSG;
	p = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*ret = (struct mapped){ p, size };
	return 0;
}

static void unmap(struct mapped *m)
{
	if (m->data)
		(void)munmap((void *)(uintptr_t)m->data, m->len);
}

static int fetch(struct symd *s, enum symd_op op, int fd, struct question *q, struct mapped *ret)
{
	_cleanup_close_ int table = -1;
	int err;

	table = symd_ask_table(s, op, fd, q);
	if (table < 0)
		return table;
	err = map_sealed(table, s->message.reply.value, ret);
	return err == -EBADMSG ? symd_blame(s, q, -EPROTO) : err;
}

static void keep_path(int fd, char *path, size_t size)
{
	char link[32];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, size - 1);
	path[n > 0 ? n : 0] = '\0';
}

int symd_symbols(struct symd *s, int fd, struct symd_symbols **ret)
{
	_cleanup_(symd_symbols_free) struct symd_symbols *t = calloc(1, sizeof(*t));
	struct question q;
	int err;

	if (!t)
		return -ENOMEM;
	err = fetch(s, SYMD_SYMBOLS, fd, &q, &t->memory);
	if (err)
		return err;
	err = flat_symbols_view(t->memory.data, t->memory.len, &t->view);
	if (err)
		return err == -EBADMSG ? symd_blame(s, &q, -EPROTO) : err;
	t->key = q.key;
	keep_path(fd, t->path, sizeof(t->path));
	*ret = TAKE_PTR(t);
	return 0;
}

struct symd_symbols *symd_symbols_free(struct symd_symbols *t)
{
	if (!t)
		return NULL;
	(void)symbols_free(t->view);
	unmap(&t->memory);
	free(t);
	return NULL;
}

size_t symd_symbols_count(const struct symd_symbols *t)
{
	return symbols_count(t->view);
}

size_t symd_symbols_bytes(const struct symd_symbols *t)
{
	return sizeof(*t) + t->memory.len;
}

bool symd_symbols_find(const struct symd_symbols *t, uint64_t vaddr, struct symbol *ret)
{
	return symbols_find(t->view, vaddr, ret);
}

/* Only what may be a mangled name is worth a question. */
static bool may_be_mangled(const char *name)
{
	if (!strncmp(name, "__", 2))
		name++;
	return name[0] == '_' && (name[1] == 'Z' || name[1] == 'R');
}

int symd_demangle(struct symd *s, const struct symd_symbols *t, const char *name, struct buf *out)
{
	struct question q = { .op = SYMD_DEMANGLE,
			      .fd = -1,
			      .path = t->path,
			      .more = name,
			      .more_len = strlen(name),
			      .key = t->key };
	int err;

	if (!may_be_mangled(name) || q.more_len > OBJECT_NAME_MAX)
		return -ENOENT;
	err = symd_ask(s, &q);
	if (err)
		return err;
	if (s->message.fd >= 0)
		(void)close(TAKE_FD(s->message.fd));
	if (!s->message.more_len || memchr(s->message.more, '\0', s->message.more_len))
		return symd_blame(s, &q, -EPROTO);
	return buf_add(out, s->message.more, s->message.more_len);
}

int symd_rows(struct symd *s, int fd, struct symd_rows **ret)
{
	_cleanup_(symd_rows_free) struct symd_rows *r = calloc(1, sizeof(*r));
	struct question q;
	int err;

	if (!r)
		return -ENOMEM;
	err = fetch(s, SYMD_ROWS, fd, &q, &r->memory);
	if (err)
		return err;
	err = flat_rows_view(r->memory.data, r->memory.len, &r->view, &r->stats);
	if (err)
		return err == -EBADMSG ? symd_blame(s, &q, -EPROTO) : err;
	*ret = TAKE_PTR(r);
	return 0;
}

struct symd_rows *symd_rows_free(struct symd_rows *r)
{
	if (!r)
		return NULL;
	unmap(&r->memory);
	free(r);
	return NULL;
}

const struct cfi_table *symd_rows_table(const struct symd_rows *r)
{
	return &r->view;
}

const struct cfi_stats *symd_rows_stats(const struct symd_rows *r)
{
	return &r->stats;
}

size_t symd_rows_bytes(const struct symd_rows *r)
{
	return sizeof(*r) + r->memory.len;
}
