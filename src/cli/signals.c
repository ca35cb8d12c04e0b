/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include "cli.h"

static sigset_t watched, before;
static struct sigaction pipe_before;
static bool started;
static volatile sig_atomic_t seen;
static const char *empty_dir;

/*
 * SIGHUP is left alone where it is ignored, since then foldd runs under nohup. SIGINT is not:
 * shells ignore it for what scripts start with '&', and those scripts still end us with it.
 */
static void start(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, hup;

	(void)sigemptyset(&watched);
	(void)sigaddset(&watched, SIGINT);
	(void)sigaddset(&watched, SIGTERM);
	if (!sigaction(SIGHUP, NULL, &hup) && hup.sa_handler != SIG_IGN)
		(void)sigaddset(&watched, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &watched, &before);
	/* A reader that went away is an error of write(), with a message. */
	(void)sigaction(SIGPIPE, &ignore, &pipe_before);
	started = true;
}

void signals_block(void)
{
	if (!started)
		start();
	else
		(void)sigprocmask(SIG_BLOCK, &watched, NULL);
}

int signals_fd(struct err *e)
{
	int fd = signalfd(-1, &watched, SFD_NONBLOCK | SFD_CLOEXEC);

	if (fd < 0)
		return err_set(e, EXIT_RUNTIME, "cannot watch for signals: %s", strerror(errno));
	return fd;
}

bool signals_taken(int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == sizeof(info))
		seen++;
	return seen > 0;
}

static void on_signal(int signal)
{
	(void)signal;
	if (++seen < 2)
		return;
	if (empty_dir)
		(void)rmdir(empty_dir);
	_exit(EXIT_INTERRUPTED);
}

void signals_abort_at_second(const char *dir)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	empty_dir = dir;
	for (int s = 1; s < NSIG; s++)
		if (sigismember(&watched, s) == 1)
			(void)sigaction(s, &act, NULL);
	(void)sigprocmask(SIG_UNBLOCK, &watched, NULL);
}

bool signals_aborted(void)
{
	sigset_t pending;
	int n = seen;

	if (sigpending(&pending))
		return false;
	for (int s = 1; s < NSIG; s++)
		n += sigismember(&watched, s) == 1 && sigismember(&pending, s) == 1;
	return n >= 2;
}

void signals_reset_child(void)
{
	(void)sigaction(SIGPIPE, &pipe_before, NULL);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
}
