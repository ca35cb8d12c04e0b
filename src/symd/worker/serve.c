/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include "base/file.h"
#include "object/flat.h"
#include "worker.h"

#define CPU_RETIRE_S 300 /* a worker ends itself well before RLIMIT_CPU ends it */

struct answer {
	struct symd_reply reply;
	union {
		struct symd_info info;
		char text[SYMD_TEXT_MAX];
	} more;
	size_t more_len;
	int fd; /* or -1 */
};

union control {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(sizeof(int))];
};

static ssize_t read_fd(void *ctx, void *data, size_t len, uint64_t offset)
{
	if (offset > INT64_MAX - len)
		return 0;
	return file_pread((int)(intptr_t)ctx, data, len, (off_t)offset);
}

static int write_part(int fd, const struct iovec *part, uint64_t offset)
{
	size_t done = 0;

	while (done < part->iov_len) {
		ssize_t n = pwrite(fd, (const char *)part->iov_base + done, part->iov_len - done,
				   (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* The bytes in a file of memory that nobody can change any more, this process included. */
static int seal(const struct flat *f, struct answer *a)
{
	_cleanup_close_ int fd = -1;
	uint64_t offset = 0;

	if (f->size > SYMD_TABLE_MAX)
		return -EFBIG;
	fd = memfd_create(SYMD_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	for (int i = 0; i < f->n_parts; i++) {
		int err = write_part(fd, &f->parts[i], offset);

		if (err)
			return err;
		offset += f->parts[i].iov_len;
	}
	if (fcntl(fd, F_ADD_SEALS, SYMD_SEALS))
		return -errno;
	a->reply.value = f->size;
	a->fd = TAKE_FD(fd);
	return 0;
}

static int answer_symbols(const struct object_source *s, const struct object_info *info,
			  struct answer *a)
{
	_cleanup_(symbols_free) struct symbols *t = NULL;
	struct flat f;
	int err;

	err = symbols_read(s, info, &t);
	if (err)
		return err;
	flat_symbols(t, &f);
	return seal(&f, a);
}

static int answer_rows(const struct object_source *s, const struct object_info *info,
		       struct answer *a)
{
	_cleanup_(cfi_table_free) struct cfi_table *t = NULL;
	struct cfi_stats stats;
	struct cfi_sink sink;
	struct flat f;
	int err;

	err = cfi_table_new(&t);
	if (err)
		return err;
	cfi_table_sink(t, &sink);
	err = cfi_build(s, info, &sink, &stats);
	if (err)
		return err;
	flat_rows(t, &stats, &f);
	return seal(&f, a);
}

static int answer_demangle(const char *name, size_t len, struct answer *a)
{
	_cleanup_free_ char *text = NULL;
	char copy[OBJECT_NAME_MAX + 1];

	if (len > OBJECT_NAME_MAX)
		return -EINVAL;
	memcpy(copy, name, len);
	copy[len] = '\0';
	text = object_demangle(copy);
	if (!text)
		return -ENOENT;
	a->more_len = strnlen(text, SYMD_TEXT_MAX);
	memcpy(a->more.text, text, a->more_len);
	return 0;
}

/* The debug information of the last file that was asked for: reading it again takes long. */
static struct {
	struct inlines *inlines;
	struct symd_place of;
	uint64_t size;
} kept;

static void forget_inlines(void)
{
	kept.inlines = inlines_free(kept.inlines);
}

static int keep_inlines(const struct symd_place *p, int fd, uint64_t size)
{
	int err;

	if (kept.inlines && kept.size == size && kept.of.dev == p->dev && kept.of.ino == p->ino &&
	    kept.of.mtime_ns == p->mtime_ns)
		return 0;
	forget_inlines();
	err = inlines_open(fd, size, &kept.inlines);
	if (err)
		return err;
	kept.of = *p;
	kept.size = size;
	return 0;
}

static int add_inline(void *ctx, const char *name)
{
	size_t len = strnlen(name, SYMD_INLINE_NAME_MAX - 1);
	struct answer *a = ctx;

	memcpy(a->more.text + a->more_len, name, len);
	a->more.text[a->more_len + len] = '\0';
	a->more_len += len + 1;
	a->reply.value++;
	return 0;
}

static int answer_inlines(const struct symd_request *r, const char *more, size_t len, int fd,
			  struct answer *a)
{
	struct symd_place place;
	int n;

	if (fd < 0 || len != sizeof(place))
		return -EINVAL;
	memcpy(&place, more, sizeof(place));
#ifdef FOLDD_SYMD_TEST
	misbehave(&(struct object_source){ .read = read_fd,
					   .ctx = (void *)(intptr_t)fd,
					   .size = r->size },
		  r);
#endif
	n = keep_inlines(&place, fd, r->size);
	if (!n)
		n = inlines_at(kept.inlines, place.vaddr, add_inline, a);
	return n < 0 ? n : 0;
}

static int answer_file(const struct symd_request *r, int fd, struct answer *a)
{
	struct object_source s = { .read = read_fd, .ctx = (void *)(intptr_t)fd, .size = r->size };
	struct object_info info;
	uint32_t crc;
	int err;

	if (fd < 0)
		return -EBADF;
#ifdef FOLDD_SYMD_TEST
	misbehave(&s, r);
#endif
	if (r->op == SYMD_CRC) {
		err = object_crc32(&s, &crc);
		a->reply.value = err ? 0 : crc;
		return err;
	}
	err = object_info_read(&s, &info);
	if (err)
		return err;
	if (r->op != SYMD_INFO)
		forget_inlines(); /* tables take memory, too */
	switch (r->op) {
	case SYMD_INFO:
		symd_info_pack(&info, &a->more.info);
		a->more_len = sizeof(a->more.info);
		return 0;
	case SYMD_SYMBOLS:
		return answer_symbols(&s, &info, a);
	case SYMD_ROWS:
		return answer_rows(&s, &info, a);
	}
	return -EINVAL;
}

static int reply_send(struct answer *a)
{
	struct iovec parts[] = { { &a->reply, sizeof(a->reply) }, { &a->more, a->more_len } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts) };
	union control control = { 0 };

	if (a->fd >= 0) {
		struct cmsghdr *c;

		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &a->fd, sizeof(a->fd));
	}
	while (sendmsg(SYMD_SOCKET, &m, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* The length of the next request, 0 at the end, or -errno. */
static ssize_t request_receive(char *data, size_t size, int *ret_fd)
{
	struct iovec part = { data, size };
	union control control = { 0 };
	struct msghdr m = { .msg_iov = &part,
			    .msg_iovlen = 1,
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *c;
	ssize_t n;

	do {
		n = recvmsg(SYMD_SOCKET, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n ? -errno : 0;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
	return m.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EMSGSIZE : n;
}

static uint64_t cpu_seconds(void)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec;
}

/* 1: go on; 0: this was the last one; -errno. */
static int serve_one(struct answer *a)
{
	_Alignas(8) char data[SYMD_REQUEST_MAX];
	_cleanup_close_ int fd = -1, reply_fd = -1;
	struct symd_request r;
	ssize_t n;
	int err;

	n = request_receive(data, sizeof(data), &fd);
	if (n <= 0)
		return (int)n;
	if ((size_t)n < sizeof(r))
		return -EPROTO;
	memcpy(&r, data, sizeof(r));
	if (r.magic != SYMD_MAGIC)
		return -EPROTO;
	a->reply = (struct symd_reply){ .magic = SYMD_MAGIC, .op = r.op, .serial = r.serial };
	a->more_len = 0;
	a->fd = -1;
	if (r.op == SYMD_DEMANGLE)
		a->reply.error = answer_demangle(data + sizeof(r), (size_t)n - sizeof(r), a);
	else if (r.op == SYMD_INLINES)
		a->reply.error = answer_inlines(&r, data + sizeof(r), (size_t)n - sizeof(r), fd, a);
	else
		a->reply.error = answer_file(&r, fd, a);
	reply_fd = a->fd;
	/* Now, not later: a file system that is slow to let go holds up the answer on its own file.
	 */
	if (fd >= 0)
		(void)close(TAKE_FD(fd));
	if (cpu_seconds() >= CPU_RETIRE_S)
		a->reply.flags |= SYMD_LAST;
	err = reply_send(a);
	if (err)
		return err;
	return !(a->reply.flags & SYMD_LAST);
}

int serve(uint32_t layers)
{
	static struct answer a; /* large */
	int n;

	a.reply = (struct symd_reply){ .magic = SYMD_MAGIC, .op = SYMD_HELLO, .flags = layers };
	a.fd = -1;
	n = reply_send(&a);
	if (n)
		return n;
	do {
		n = serve_one(&a);
	} while (n > 0);
	return n;
}
