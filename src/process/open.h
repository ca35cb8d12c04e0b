/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only place where a file that a profiled process named is opened. Never blocks on a FIFO,
 * a device or a link out of the target's root: O_PATH first, regular files only, then a
 * non-blocking reopen; then the identity is compared.
 */
#ifndef FOLDD_OPEN_H
#define FOLDD_OPEN_H

#include <sys/stat.h>
#include "objects.h"

/*
 * Open the file of a mapping: /proc/PID/map_files/START-END, else path under where->rootfd
 * (or our own root) with RESOLVE_IN_ROOT. Identity is verified by build-id, else by device and
 * inode (device left out where the kernel reports another one for overlays), and *ret_st filled.
 * The descriptor or -errno; -ESTALE when what is there now is another file; -EINVAL for what is
 * no regular file, -EREMOTE for one on a file system that may stall (mounts.h).
 */
int open_mapped(struct symd *symd, const char *path, const struct file_identity *id,
		const struct mapped_at *where, struct stat *ret_st) __must_check;
/*
 * A regular file by path under rootfd (-1: our own root), which is that of process pid (0: not
 * known). The descriptor or -errno.
 */
int open_in_root(int rootfd, pid_t pid, const char *path, struct stat *ret_st) __must_check;
/* O_PATH descriptor of a live process's root directory, or -errno. */
int open_root(pid_t pid) __must_check;

#endif
