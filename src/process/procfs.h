/* SPDX-License-Identifier: BSD-2-Clause */
/* What /proc/PID/stat and /proc/PID/status tell of a process. */
#ifndef FOLDD_PROCFS_H
#define FOLDD_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/cleanup.h"

struct procfs_stat {
	char comm[16];
	char state;
	bool kernel_thread;
	uint32_t threads;
	uint64_t start_ticks; /* USER_HZ since boot */
};

struct procfs_status {
	uid_t euid;
	pid_t ns_pid; /* in the innermost namespace */
};

/* Pure. -EBADMSG where the text is not what the kernel writes. */
int procfs_parse_stat(const char *text, size_t len, struct procfs_stat *ret) __must_check;
int procfs_parse_status(const char *text, size_t len, struct procfs_status *ret) __must_check;

/* -ESRCH when the process is gone. */
int procfs_read_stat(pid_t pid, struct procfs_stat *ret) __must_check;
int procfs_read_status(pid_t pid, struct procfs_status *ret) __must_check;

/* A thread of it still runs; false for a zombie. */
static inline bool procfs_alive(const struct procfs_stat *st)
{
	return (st->state != 'Z' && st->state != 'X') || st->threads > 1;
}

#endif
