/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An error that reaches the person: exit status, what failed and why, what to do about it.
 * Library code below the profiler returns -errno; this is for the boundary.
 */
#ifndef FOLDD_ERR_H
#define FOLDD_ERR_H

#include "cleanup.h"

/* Exit status of the program: a contract, also the status of a struct err. */
enum exit_status {
	EXIT_DONE = 0,
	EXIT_RUNTIME = 1,
	EXIT_USAGE = 2,
	EXIT_NO_TARGET = 3,
	EXIT_PRIVILEGE = 4,
	EXIT_KERNEL = 5,
	EXIT_LOSSY = 6,
	EXIT_INTERRUPTED = 130,
};

#define ERR_TEXT_MAX 512

struct err {
	int status;              /* enum exit_status; 0: no error */
	char what[ERR_TEXT_MAX]; /* what failed and why, one sentence without the full stop */
	char hint[ERR_TEXT_MAX]; /* what to do; may be empty */
};

/* Fills e (the first error wins) and returns -1, so that "return err_set(...)" fails. */
int err_set(struct err *e, int status, const char *fmt, ...) __printf(3, 4);
/* Adds what to do; returns -1 as well. */
int err_hint(struct err *e, const char *fmt, ...) __printf(2, 3);

#endif
