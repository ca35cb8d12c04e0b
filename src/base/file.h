/* SPDX-License-Identifier: BSD-2-Clause */
/* Our own files: reading small ones whole, and writing so that nobody ever sees half a file. */
#ifndef FOLDD_FILE_H
#define FOLDD_FILE_H

#include <stddef.h>
#include <sys/types.h>
#include "buf.h"

/* Append the whole file to b (which bounds it). For /proc, /sys and our own files only. */
int file_read(const char *path, struct buf *b) __must_check;
int file_read_at(int dirfd, const char *path, struct buf *b) __must_check;
/* pread until len bytes or the end; the number read or -errno. */
ssize_t file_pread(int fd, void *data, size_t len, off_t offset) __must_check;

/*
 * Files that appear together or not at all: each is written under a temporary name in dirfd and
 * synced; commit renames all of them and syncs the directory; free removes what was not committed.
 */
struct file_set;

int file_set_new(int dirfd, struct file_set **ret) __must_check; /* borrows dirfd */
int file_set_add(struct file_set *s, const char *name, const void *data, size_t len) __must_check;
int file_set_commit(struct file_set *s) __must_check;
struct file_set *file_set_free(struct file_set *s);
DEFINE_CLEANUP(struct file_set *, file_set_free)

#endif
