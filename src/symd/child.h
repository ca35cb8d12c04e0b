/* SPDX-License-Identifier: BSD-2-Clause */
/* One worker process: starting, talking with a deadline, ending. For the client only. */
#ifndef FOLDD_SYMD_CHILD_H
#define FOLDD_SYMD_CHILD_H

#include <stdbool.h>
#include "protocol.h"

#define LINGERING_MAX 8 /* killed workers that a stalled file system does not let go of */

struct worker {
	pid_t pid; /* 0: none */
	int pidfd; /* or -1 */
	int socket;
	uint32_t layers; /* of its sandbox */
};

/* Those that are ended but not gone, and the time that those that are gone have used. */
struct graveyard {
	pid_t lingering[LINGERING_MAX];
	size_t n;
	double cpu_s;
};

struct message {
	struct symd_reply reply;
	char more[SYMD_TEXT_MAX];
	size_t more_len;
	int fd; /* or -1; the receiver's to close */
};

/* The path of the worker program, malloc'd. -ENOENT. */
int worker_find(char **ret_path) __must_check;
/* Start one and wait for its HELLO. -EAGAIN: too many do not end. */
int worker_start(struct worker *w, struct graveyard *g, const char *path) __must_check;
/* Never waits for long: a process that is stuck in the kernel is left to be reaped later. */
void worker_end(struct worker *w, struct graveyard *g);
double worker_cpu_s(const struct worker *w);

/* fd -1: none. -EPIPE: it is gone. */
int worker_send(const struct worker *w, const struct symd_request *r, const void *more,
		size_t more_len, int fd) __must_check;
/* -EPIPE: it is gone; -ETIMEDOUT; -EPROTO: it says what it should not. */
int worker_receive(const struct worker *w, unsigned int timeout_ms,
		   struct message *ret) __must_check;

#endif
