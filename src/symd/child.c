/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include "symd.h"
#include "child.h"

#define END_MS 100 /* that a killed worker may take to be gone */

union control {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(sizeof(int))];
};

int worker_find(char **ret_path)
{
	static const char *const forms[] = { "%.*s/" SYMD_NAME,
					     "%.*s/../libexec/foldd/" SYMD_NAME };
	char self[PATH_MAX], path[PATH_MAX + 64] = FOLDD_LIBEXECDIR "/" SYMD_NAME;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self));
	const char *slash = n > 0 ? memrchr(self, '/', (size_t)n) : NULL;

	for (size_t i = 0; slash && i < ARRAY_SIZE(forms); i++) {
		char *found;

		(void)snprintf(path, sizeof(path), forms[i], (int)(slash - self), self);
		if (access(path, X_OK))
			continue;
		found = strdup(path);
		if (!found)
			return -ENOMEM;
		*ret_path = found;
		return 0;
	}
	if (access(FOLDD_LIBEXECDIR "/" SYMD_NAME, X_OK))
		return -ENOENT;
	*ret_path = strdup(FOLDD_LIBEXECDIR "/" SYMD_NAME);
	return *ret_path ? 0 : -ENOMEM;
}

/*
 * It gets nothing from us but the socket: no environment, no terminal, no signals that are
 * blocked, and a process group of its own, so that ^C is for foldd alone.
 */
static int spawn(const char *path, int socket, pid_t *ret_pid)
{
	char name[] = SYMD_NAME, *const argv[] = { name, NULL }, *const envp[] = { NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int err;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	err = posix_spawn_file_actions_init(&actions);
	if (err)
		return -err;
	err = posix_spawnattr_init(&attr);
	if (err) {
		(void)posix_spawn_file_actions_destroy(&actions);
		return -err;
	}
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						      POSIX_SPAWN_SETSIGDEF);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &all);
	err = posix_spawn_file_actions_adddup2(&actions, socket, SYMD_SOCKET);
	for (int fd = 0; fd < SYMD_SOCKET && !err; fd++)
		err = posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
	if (!err)
		err = posix_spawn(ret_pid, path, &actions, &attr, argv, envp);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&actions);
	return -err;
}

/* True where the process is gone or no child of ours. */
static bool reap(pid_t pid, struct graveyard *g)
{
	struct rusage ru;
	pid_t got = wait4(pid, NULL, WNOHANG, &ru);

	if (got == pid)
		g->cpu_s += (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
			    (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
	return got == pid || (got < 0 && errno == ECHILD);
}

static void reap_lingering(struct graveyard *g)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		if (!reap(g->lingering[i], g))
			g->lingering[n++] = g->lingering[i];
	g->n = n;
}

void worker_end(struct worker *w, struct graveyard *g)
{
	struct pollfd fd = { .fd = w->pidfd, .events = POLLIN };

	if (!w->pid)
		return;
	(void)close(w->socket);
	(void)kill(w->pid, SIGKILL);
	/* A pass over a negative descriptor waits just as long. */
	(void)poll(&fd, 1, END_MS);
	if (!reap(w->pid, g) && g->n < LINGERING_MAX)
		g->lingering[g->n++] = w->pid;
	if (w->pidfd >= 0)
		(void)close(w->pidfd);
	*w = (struct worker){ .pidfd = -1, .socket = -1 };
}

static int expect_hello(struct worker *w)
{
	_cleanup_free_ struct message *m = malloc(sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	err = worker_receive(w, SYMD_START_MS, m);
	if (err)
		return err;
	if (m->fd >= 0)
		(void)close(m->fd);
	if (m->fd >= 0 || m->reply.op != SYMD_HELLO || m->reply.error || m->more_len)
		return -EPROTO;
	w->layers = m->reply.flags;
	return 0;
}

int worker_start(struct worker *w, struct graveyard *g, const char *path)
{
	_cleanup_close_ int theirs = -1;
	int ends[2], err;

	reap_lingering(g);
	if (g->n == LINGERING_MAX)
		return -EAGAIN;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	theirs = ends[1];
	*w = (struct worker){ .pidfd = -1, .socket = ends[0] };
	err = spawn(path, theirs, &w->pid);
	if (err) {
		(void)close(ends[0]);
		*w = (struct worker){ .pidfd = -1, .socket = -1 };
		return err;
	}
	/* Until we wait for it the number is nobody else's. */
	w->pidfd = (int)syscall(SYS_pidfd_open, w->pid, 0);
	(void)close(TAKE_FD(theirs));
	err = expect_hello(w);
	if (err)
		worker_end(w, g);
	return err;
}

double worker_cpu_s(const struct worker *w)
{
	struct timespec ts;
	clockid_t id;

	if (!w->pid || clock_getcpuclockid(w->pid, &id) || clock_gettime(id, &ts))
		return 0;
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int worker_send(const struct worker *w, const struct symd_request *r, const void *more,
		size_t more_len, int fd)
{
	struct iovec parts[] = { { (void *)(uintptr_t)r, sizeof(*r) },
				 { (void *)(uintptr_t)more, more_len } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts) };
	union control control = { 0 };

	if (fd >= 0) {
		struct cmsghdr *c;

		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	for (;;) {
		/* There is never more than one request in the socket: it has room. */
		if (sendmsg(w->socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (errno == ECONNRESET)
			return -EPIPE;
		if (errno != EINTR)
			return -errno;
	}
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int await(int socket, unsigned int timeout_ms)
{
	uint64_t now = now_ms(), end = now + timeout_ms;
	struct pollfd fd = { .fd = socket, .events = POLLIN };
	int n;

	for (;;) {
		n = poll(&fd, 1, (int)(end - now));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		now = now_ms();
		if (!n || now >= end)
			return -ETIMEDOUT;
	}
}

int worker_receive(const struct worker *w, unsigned int timeout_ms, struct message *ret)
{
	struct iovec parts[] = { { &ret->reply, sizeof(ret->reply) },
				 { ret->more, sizeof(ret->more) } };
	union control control = { 0 };
	struct msghdr m = { .msg_iov = parts,
			    .msg_iovlen = ARRAY_SIZE(parts),
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *c;
	ssize_t n;
	int err;

	err = await(w->socket, timeout_ms);
	if (err)
		return err;
	ret->fd = -1;
	n = recvmsg(w->socket, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	/* There is room for one descriptor: the kernel has closed any others. */
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&ret->fd, CMSG_DATA(c), sizeof(ret->fd));
	if (n >= (ssize_t)sizeof(ret->reply) && !(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
	    ret->reply.magic == SYMD_MAGIC) {
		ret->more_len = (size_t)n - sizeof(ret->reply);
		return 0;
	}
	if (ret->fd >= 0)
		(void)close(TAKE_FD(ret->fd));
	return n ? -EPROTO : -EPIPE;
}
