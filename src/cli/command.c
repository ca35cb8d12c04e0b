/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The child is there before foldd attaches, so that its pid can be the target, and executes the
 * command only when it is told to: by a byte in one pipe. What comes back through the other one
 * is the errno of a failed exec, or its end, since the pipe closes on exec. When foldd goes away
 * before, the child finds the end of its pipe and exits.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "base/log.h"
#include "cli.h"

struct command {
	const char *name;
	pid_t pid;
	int go;     /* write end; -1 once it was told */
	int result; /* read end */
	int pidfd;
	bool running; /* it executes the command: not ours to end */
};

static void __attribute__((__noreturn__))
child_main(char *const *argv, int go, int result, bool stdout_to_stderr)
{
	char byte;
	int err;

	signals_reset_child();
	if (stdout_to_stderr && dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		_exit(EXIT_RUNTIME);
	if (read(go, &byte, 1) != 1)
		_exit(EXIT_RUNTIME);
	(void)execvp(argv[0], argv);
	err = errno;
	if (write(result, &err, sizeof(err)) != sizeof(err))
		_exit(126);
	_exit(127);
}

static int start(struct command *c, char *const *argv, bool stdout_to_stderr)
{
	int go[2], result[2];

	if (pipe2(go, O_CLOEXEC))
		return -errno;
	c->go = go[1];
	if (pipe2(result, O_CLOEXEC)) {
		int err = -errno;

		(void)close(go[0]);
		return err;
	}
	c->result = result[0];
	c->pid = fork();
	if (!c->pid) {
		(void)close(go[1]);
		child_main(argv, go[0], result[1], stdout_to_stderr);
	}
	(void)close(go[0]);
	(void)close(result[1]);
	if (c->pid < 0)
		return -errno;
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	return c->pidfd < 0 ? -errno : 0;
}

int command_new(char *const *argv, bool stdout_to_stderr, struct command **ret, struct err *e)
{
	_cleanup_(command_free) struct command *c = calloc(1, sizeof(*c));
	int err = -ENOMEM;

	if (c) {
		*c = (struct command){ argv[0], -1, -1, -1, -1, false };
		err = start(c, argv, stdout_to_stderr);
	}
	if (err)
		return err_set(e, EXIT_RUNTIME, "cannot start a process for %s: %s", argv[0],
			       strerror(-err));
	*ret = TAKE_PTR(c);
	return 0;
}

pid_t command_pid(const struct command *c)
{
	return c->pid;
}

int command_fd(const struct command *c)
{
	return c->pidfd;
}

static int exec_failed(const struct command *c, int err, struct err *e)
{
	if (err != ENOENT)
		return err_set(e, EXIT_RUNTIME, "cannot run %s: %s", c->name, strerror(err));
	(void)err_set(e, EXIT_NO_TARGET, "cannot run %s: no such command", c->name);
	return err_hint(e, strchr(c->name, '/') ? "nothing was recorded"
						: "it is not in PATH, which sudo may have changed");
}

int command_go(struct command *c, struct err *e)
{
	ssize_t n;
	int err;

	/* A child that a signal has ended already is for the one who waits for it. */
	n = write(c->go, "", 1);
	(void)close(c->go);
	c->go = -1;
	if (n != 1 && errno != EPIPE)
		return err_set(e, EXIT_RUNTIME, "cannot start %s: %s", c->name, strerror(errno));
	do
		n = read(c->result, &err, sizeof(err));
	while (n < 0 && errno == EINTR);
	if (n == sizeof(err))
		return exec_failed(c, err, e);
	c->running = true;
	return 0;
}

void command_report(struct command *c)
{
	int status;

	if (waitpid(c->pid, &status, WNOHANG) != c->pid)
		return;
	c->pid = -1;
	if (WIFSIGNALED(status))
		log_warning("%s was ended by signal %d (%s)", c->name, WTERMSIG(status),
			    strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		log_warning("%s exited with status %d", c->name, WEXITSTATUS(status));
}

struct command *command_free(struct command *c)
{
	if (!c)
		return NULL;
	if (c->go >= 0)
		(void)close(c->go);
	if (c->result >= 0)
		(void)close(c->result);
	if (c->pidfd >= 0)
		(void)close(c->pidfd);
	if (c->pid > 0 && !c->running)
		(void)waitpid(c->pid, NULL, 0);
	free(c);
	return NULL;
}
