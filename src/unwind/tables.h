/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Publishing the unwind tables of files to the kernel side. Rows go to chunks of 1 MiB that are
 * made as they are needed and written through mmap, rules to one table without duplicates, pages
 * to another; one last store makes the object's table visible to the walks of all processes.
 */
#ifndef FOLDD_TABLES_H
#define FOLDD_TABLES_H

#include <stdbool.h>
#include <foldd/unwind.h>
#include "object/cfi.h"

/* Chunks made at a time: an update of the outer map waits for RCU (11 ms), a batch waits once. */
#define TABLES_CHUNK_BATCH 4
/* Limit of the chunks' memory: a host's 300 files need 10 to 17 MiB, a desktop's 36. */
#define TABLES_CHUNKS_MAX 64

struct unwind_tables;

struct unwind_tables_stats {
	uint32_t objects;      /* that have a table */
	uint32_t rules, pages; /* in use */
	uint64_t rows;
	uint64_t bytes;   /* of the chunks made so far */
	uint32_t refused; /* objects for which there was no room */
	uint32_t evicted; /* tables taken out to make room for others */
};

/* shared: the one value of the "tables" map; the "chunks" and "inodes" maps. All borrowed. */
int unwind_tables_new(struct foldd_tables *shared, int chunks_fd, int inodes_fd,
		      struct unwind_tables **ret) __must_check;
struct unwind_tables *unwind_tables_free(struct unwind_tables *t);
DEFINE_CLEANUP(struct unwind_tables *, unwind_tables_free)
/*
 * Publish the table of an object that has none yet. 0; -ENOSPC when rules, pages or chunks are used
 * up (counted; the object is walked by frame pointers), -ENOMEM, or the error of making a chunk.
 */
int unwind_tables_add(struct unwind_tables *t, uint32_t object, const struct cfi_table *table,
		      uint64_t now_ns) __must_check;
bool unwind_tables_has(const struct unwind_tables *t, uint32_t object);
/* Some process maps this object now. */
void unwind_tables_touch(struct unwind_tables *t, uint32_t object, uint64_t now_ns);
/*
 * Take out the tables of the objects that have been mapped by nobody for the longest time, while
 * more than nine tenths of the room are in use. What is touched at now_ns stays.
 */
void unwind_tables_evict(struct unwind_tables *t, uint64_t now_ns);
/*
 * Tell the kernel side which object the file with this device and inode is, for processes that
 * are too new to have a table of mappings.
 */
int unwind_tables_add_inode(struct unwind_tables *t, uint32_t object, uint32_t major,
			    uint32_t minor, uint64_t ino) __must_check;
void unwind_tables_stats(const struct unwind_tables *t, struct unwind_tables_stats *ret);

#endif
