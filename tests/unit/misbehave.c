/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a worker that a file has taken over might do. Linked into a worker of the tests only: a
 * file that begins with "MISBEHAVE " says what, and the worker does it before it answers.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include "symd/worker/worker.h"

struct forged {
	struct symd_reply reply;
	char more[64];
};

static void reply_with(const struct forged *f, size_t len, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec part = { (void *)(uintptr_t)f, len };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd >= 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof(fd));
	}
	(void)!sendmsg(SYMD_SOCKET, &m, MSG_NOSIGNAL);
}

static int memory(const char *data, size_t len, int seals)
{
	int fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)!pwrite(fd, data, len, 0);
	if (seals)
		(void)fcntl(fd, F_ADD_SEALS, seals);
	return fd;
}

/* A reply in place of the true one, which comes behind it. */
static void forge(const char *what, const struct symd_request *r)
{
	struct forged f = { .reply = { .magic = SYMD_MAGIC, .op = r->op, .serial = r->serial } };
	char table[256] = { 0 };

	if (!strcmp(what, "short"))
		reply_with(&f, 8, -1);
	else if (!strcmp(what, "empty"))
		reply_with(&f, sizeof(f.reply), -1);
	else if (!strcmp(what, "magic"))
		f.reply.magic++, reply_with(&f, sizeof(f), -1);
	else if (!strcmp(what, "serial"))
		f.reply.serial++, reply_with(&f, sizeof(f), -1);
	else if (!strcmp(what, "op"))
		f.reply.op++, reply_with(&f, sizeof(f), -1);
	else if (!strcmp(what, "positive"))
		f.reply.error = 1, reply_with(&f, sizeof(f.reply), -1);
	else if (!strcmp(what, "flags"))
		f.reply.flags = 1U << 31, reply_with(&f, sizeof(f.reply), -1);
	else if (!strcmp(what, "error+fd"))
		f.reply.error = -2, reply_with(&f, sizeof(f.reply), memory(table, 1, 0));
	else if (!strcmp(what, "socket"))
		reply_with(&f, sizeof(f.reply), SYMD_SOCKET);
	f.reply.value = sizeof(table);
	if (!strcmp(what, "unsealed"))
		reply_with(&f, sizeof(f.reply), memory(table, sizeof(table), 0));
	else if (!strcmp(what, "half sealed"))
		reply_with(&f, sizeof(f.reply),
			   memory(table, sizeof(table), SYMD_SEALS & ~F_SEAL_WRITE));
	else if (!strcmp(what, "zeroes"))
		reply_with(&f, sizeof(f.reply), memory(table, sizeof(table), SYMD_SEALS));
	else if (!strcmp(what, "less"))
		reply_with(&f, sizeof(f.reply), memory(table, sizeof(table) - 1, SYMD_SEALS));
	f.reply.value = (uint64_t)SYMD_TABLE_MAX + 1;
	if (!strcmp(what, "huge"))
		reply_with(&f, sizeof(f.reply), memory(table, sizeof(table), SYMD_SEALS));
}

static void call(const char *what)
{
	static volatile int *volatile nowhere;

	if (!strcmp(what, "getpid"))
		(void)syscall(SYS_getpid);
	else if (!strcmp(what, "open") && open("/etc/passwd", O_RDONLY) < 0)
		*nowhere = 1; /* refused, and libdw may try: told by ending all the same */
	else if (!strcmp(what, "socket()"))
		(void)socket(AF_INET, SOCK_STREAM, 0);
	else if (!strcmp(what, "fork"))
		(void)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	else if (!strcmp(what, "kill"))
		(void)kill(1, 0);
	else if (!strcmp(what, "exec memory"))
		(void)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	else if (!strcmp(what, "ptrace"))
		(void)syscall(SYS_ptrace, 0, 1, 0, 0);
	else if (!strcmp(what, "prctl"))
		(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	else if (!strcmp(what, "crash"))
		*nowhere = 1;
	else if (!strcmp(what, "exit"))
		_exit(0);
	else if (!strcmp(what, "spin"))
		for (;;)
			;
}

void misbehave(const struct object_source *s, const struct symd_request *r)
{
	static const char mark[] = "MISBEHAVE ";
	char text[64] = { 0 };
	ssize_t n = s->read(s->ctx, text, sizeof(text) - 1, 0);

	if (n <= 0 || strncmp(text, mark, sizeof(mark) - 1))
		return;
	call(text + sizeof(mark) - 1);
	forge(text + sizeof(mark) - 1, r);
}
