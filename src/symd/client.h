/* SPDX-License-Identifier: BSD-2-Clause */
/* The client's parts. For client.c and tables.c only. */
#ifndef FOLDD_SYMD_CLIENT_H
#define FOLDD_SYMD_CLIENT_H

#include "refusals.h"
#include "symd.h"
#include "child.h"

struct symd {
	char *path; /* of the program */
	struct worker worker;
	struct graveyard graveyard;
	struct refusals refusals;
	uint64_t serial;
	uint64_t killed, refused;
	struct message message; /* the last reply; large */
};

struct question {
	enum symd_op op;
	int fd;           /* or -1: a name */
	const char *path; /* whom to blame where there is no fd */
	const void *more; /* what follows the request */
	size_t more_len;
	unsigned int patience_ms; /* that it has at least; 0: what all have */
	struct file_key key;
};

/* 0 with the reply in s->message, or its error, or -ECANCELED, -EAGAIN. */
int symd_ask(struct symd *s, const struct question *q) __must_check;
/* The same for a table: its descriptor, the caller's to close. */
int symd_ask_table(struct symd *s, enum symd_op op, int fd, struct question *ret_q) __must_check;
/* End the worker for what it has answered, refuse the file. Always -ECANCELED. */
int symd_blame(struct symd *s, const struct question *q, int err) __must_check;

#endif
