/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <time.h>
#include "client.h"

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int ready(struct symd *s)
{
	if (s->worker.pid)
		return 0;
	if (!refusals_may_start(&s->refusals, now_ms()))
		return -EAGAIN;
	return worker_start(&s->worker, &s->graveyard, s->path);
}

static int new_at(char *path, struct symd **ret)
{
	_cleanup_(symd_free) struct symd *s = calloc(1, sizeof(*s));
	int err;

	if (!s) {
		free(path);
		return -ENOMEM;
	}
	s->path = path;
	s->message.fd = -1;
	err = ready(s);
	if (err)
		return err;
	*ret = TAKE_PTR(s);
	return 0;
}

int symd_new_at(const char *worker, struct symd **ret)
{
	char *path = strdup(worker);

	return path ? new_at(path, ret) : -ENOMEM;
}

int symd_new(struct symd **ret)
{
	char *path;
	int err = worker_find(&path);

	return err ? err : new_at(path, ret);
}

struct symd *symd_free(struct symd *s)
{
	if (!s)
		return NULL;
	worker_end(&s->worker, &s->graveyard);
	refusals_release(&s->refusals);
	free(s->path);
	free(s);
	return NULL;
}

pid_t symd_pid(const struct symd *s)
{
	return s->worker.pid;
}

double symd_cpu_s(const struct symd *s)
{
	return s->graveyard.cpu_s + worker_cpu_s(&s->worker);
}

bool symd_has_landlock(const struct symd *s)
{
	return s->worker.layers & SYMD_LANDLOCK;
}

bool symd_is_nobody(const struct symd *s)
{
	return s->worker.layers & SYMD_NOBODY;
}

const char *symd_reason_text(enum symd_reason reason)
{
	switch (reason) {
	case SYMD_CRASHED:
		return "crashed the parser";
	case SYMD_STALLED:
		return "stalled the parser";
	case SYMD_BAD_REPLY:
		return "made the parser answer nonsense";
	}
	return "unknown";
}

const struct symd_refusal *symd_refused_file(const struct symd *s, size_t i)
{
	return refusals_get(&s->refusals, i);
}

uint64_t symd_killed(const struct symd *s)
{
	return s->killed;
}

uint64_t symd_refused(const struct symd *s)
{
	return s->refused;
}

static enum symd_reason reason_of(int err)
{
	switch (err) {
	case -EPIPE:
		return SYMD_CRASHED;
	case -ETIMEDOUT:
		return SYMD_STALLED;
	}
	return SYMD_BAD_REPLY;
}

int symd_blame(struct symd *s, const struct question *q, int err)
{
	char link[32], path[SYMD_REFUSAL_PATH_MAX] = "a name";
	enum symd_reason reason = reason_of(err);
	ssize_t n;

	worker_end(&s->worker, &s->graveyard);
	s->killed++;
	if (reason == SYMD_STALLED)
		refusals_stalled(&s->refusals, now_ms());
	if (q->path) {
		(void)snprintf(path, sizeof(path), "%s", q->path);
	} else {
		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", q->fd);
		n = readlink(link, path, sizeof(path) - 1);
		if (n > 0)
			path[n] = '\0';
	}
	refusals_add(&s->refusals, &q->key, path, reason);
	return -ECANCELED;
}

/* A worker that has died since its last reply is nobody's fault: it gets one more try. */
static int send_question(struct symd *s, const struct question *q, struct symd_request *r)
{
	int err = -EPIPE;

	for (int i = 0; i < 2 && err == -EPIPE; i++) {
		err = ready(s);
		if (err)
			return err == -EPIPE || err == -ETIMEDOUT ? -EAGAIN : err;
		r->serial = ++s->serial;
		err = worker_send(&s->worker, r, q->more, q->more_len, q->fd);
		if (err)
			worker_end(&s->worker, &s->graveyard);
	}
	return err == -EPIPE ? -EAGAIN : err;
}

static bool is_reply_to(const struct message *m, const struct symd_request *r)
{
	if (m->reply.op != r->op || m->reply.serial != r->serial || m->reply.error > 0 ||
	    m->reply.error < -4095 || (m->reply.flags & ~(uint32_t)SYMD_LAST))
		return false;
	return !m->reply.error || (!m->more_len && m->fd < 0);
}

static int exchange(struct symd *s, const struct question *q)
{
	struct message *m = &s->message;
	struct symd_request r = { .magic = SYMD_MAGIC, .op = q->op, .size = q->key.size };
	unsigned int timeout_ms;
	int err;

	err = send_question(s, q, &r);
	if (err)
		return err;
	timeout_ms = refusals_timeout_ms(&s->refusals, q->key.size, q->patience_ms, now_ms());
	err = worker_receive(&s->worker, timeout_ms, m);
	if (!err && !is_reply_to(m, &r)) {
		if (m->fd >= 0)
			(void)close(TAKE_FD(m->fd));
		err = -EPROTO;
	}
	/* Told apart from what the reply says. */
	return err ? err : 1;
}

int symd_ask(struct symd *s, const struct question *q)
{
	int n;

	if (refusals_has(&s->refusals, &q->key)) {
		s->refused++;
		return -ECANCELED;
	}
	n = exchange(s, q);
	/* Anybody may kill a process, above all the kernel that is out of memory: once more. */
	if (n == -EPIPE) {
		worker_end(&s->worker, &s->graveyard);
		n = exchange(s, q);
	}
	if (n == -EAGAIN)
		s->refused++;
	if (n == -EPIPE || n == -ETIMEDOUT || n == -EPROTO)
		return symd_blame(s, q, n);
	if (n < 0)
		return n;
	if (s->message.reply.flags & SYMD_LAST)
		worker_end(&s->worker, &s->graveyard);
	return s->message.reply.error;
}

static int ask_file(struct symd *s, enum symd_op op, int fd, struct question *q)
{
	int err;

	*q = (struct question){ .op = op, .fd = fd };
	err = file_key_read(fd, &q->key);
	return err ? err : symd_ask(s, q);
}

int symd_info(struct symd *s, int fd, struct object_info *ret)
{
	struct symd_info info;
	struct question q;
	int err;

	err = ask_file(s, SYMD_INFO, fd, &q);
	if (err)
		return err;
	if (s->message.fd >= 0)
		(void)close(TAKE_FD(s->message.fd));
	if (s->message.more_len != sizeof(info))
		return symd_blame(s, &q, -EPROTO);
	memcpy(&info, s->message.more, sizeof(info));
	err = symd_info_unpack(&info, ret);
	return err ? symd_blame(s, &q, -EPROTO) : 0;
}

int symd_crc(struct symd *s, int fd, uint32_t *ret)
{
	struct question q;
	int err;

	err = ask_file(s, SYMD_CRC, fd, &q);
	if (err)
		return err;
	if (s->message.fd >= 0)
		(void)close(TAKE_FD(s->message.fd));
	*ret = (uint32_t)s->message.reply.value;
	return 0;
}

int symd_inlines(struct symd *s, int fd, uint64_t vaddr, struct buf *out)
{
	const struct message *m = &s->message;
	struct symd_place place = { .vaddr = vaddr };
	struct question q = { .op = SYMD_INLINES,
			      .fd = fd,
			      .more = &place,
			      .more_len = sizeof(place),
			      .patience_ms = SYMD_INLINES_MS };
	int err;

	err = file_key_read(fd, &q.key);
	if (err)
		return err;
	if (q.key.size > SYMD_INLINES_FILE_MAX)
		return -EFBIG;
	place.dev = q.key.dev;
	place.ino = q.key.ino;
	place.mtime_ns = q.key.mtime_ns;
	err = symd_ask(s, &q);
	if (err)
		return err;
	if (m->fd >= 0)
		(void)close(TAKE_FD(s->message.fd));
	if (symd_inlines_check(m->more, m->more_len, m->reply.value))
		return symd_blame(s, &q, -EPROTO);
	err = buf_add(out, m->more, m->more_len);
	return err ? err : (int)m->reply.value;
}

int symd_ask_table(struct symd *s, enum symd_op op, int fd, struct question *ret_q)
{
	int err = ask_file(s, op, fd, ret_q);

	if (err)
		return err;
	return s->message.fd < 0 ? symd_blame(s, ret_q, -EPROTO) : TAKE_FD(s->message.fd);
}
