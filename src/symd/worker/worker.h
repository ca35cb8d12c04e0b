/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * foldd-symd, the worker that reads the files of profiled processes for foldd: started by it,
 * without privileges, and ended by it as soon as a file gets the better of it.
 */
#ifndef FOLDD_SYMD_WORKER_H
#define FOLDD_SYMD_WORKER_H

#include "symd/protocol.h"

/*
 * Close the process in, for good: no descriptor but the socket, no privilege, no file system, no
 * system call that reading, computing and answering does not need. 0 with the layers that hold
 * (enum symd_reply_flag), or -errno, upon which nothing may be read.
 */
int sandbox_enter(uint32_t *ret_layers) __must_check;

/* Answer requests until foldd closes its end (0), or -errno. */
int serve(uint32_t layers) __must_check;

#ifdef FOLDD_SYMD_TEST
/* Test builds only: does what the file tells, such as a forbidden system call. */
void misbehave(const struct object_source *s, const struct symd_request *r);
#endif

#endif
