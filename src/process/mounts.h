/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which file systems wait for somebody: a server behind a network, or a process (FUSE), which can
 * be the profiled one. statfs(2) would ask that server; mountinfo is the kernel's own knowledge.
 */
#ifndef FOLDD_MOUNTS_H
#define FOLDD_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A type as mountinfo writes it, such as "nfs4" or "fuse.sshfs". */
bool mounts_may_stall(const char *type, size_t len);
/* The type of the file system on this device in the text of a mountinfo: NULL, or its start. */
const char *mounts_find(const char *text, size_t len, unsigned int major, unsigned int minor,
			size_t *ret_len);
/*
 * Whether the file system on this device may stall, by the mounts of the process (0: none) and our
 * own. What is in neither (parts of btrfs and overlayfs have devices of their own) may not;
 * nor may the one that our own root is on, without which nothing works.
 */
bool mounts_device_may_stall(pid_t pid, unsigned int major, unsigned int minor);

#endif
