/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the files of profiled processes, in another process: foldd-symd has no privileges and
 * answers one request at a time. foldd itself parses none of their bytes. What comes back is
 * checked again, and a file that crashes or stalls the worker costs that file its names, nothing
 * else: it is refused from then on, and another worker is started.
 *
 * Beside the errors of the readers (object.h, cfi.h) each request can end with -ECANCELED (this
 * file is refused, now or since an earlier request) and -EAGAIN (too many workers were lost in a
 * short time, or none can be started now).
 */
#ifndef FOLDD_SYMD_H
#define FOLDD_SYMD_H

#include "base/buf.h"
#include "object/cfi.h"
#include "object/inlines.h"
#include "object/object.h"

#define SYMD_START_MS         5000  /* of a worker, until it says that its sandbox is closed */
#define SYMD_REQUEST_MS       2000  /* after which a file is held to stall the worker */
#define SYMD_REQUEST_MS_MAX   10000 /* with the time that large files get */
#define SYMD_REQUEST_MS_MIN   125   /* after stalls, until there has been none for a while */
#define SYMD_BYTES_PER_MS     (128 << 10) /* of a slow disk */
#define SYMD_STALL_MEMORY_S   15          /* for which each stall halves the time of requests */
#define SYMD_STARTS_MAX       64          /* workers started at once; one more each second */
#define SYMD_REFUSALS_MAX     1024  /* files that are remembered; then the oldest is forgotten */
#define SYMD_REFUSAL_PATH_MAX 256   /* bytes kept of their paths */
#define SYMD_INLINES_MS       10000 /* of a request for inlined functions: the first reads much */
#define SYMD_INLINES_FILE_MAX (512 << 20) /* bytes of a file with DWARF; it needs as much again */

struct symd;

/*
 * Start the first worker. -ENOENT: the program is neither next to foldd's own nor where it is
 * installed; -EPROTO: it is of another version; -EPIPE: it could not close its sandbox.
 */
int symd_new(struct symd **ret) __must_check;
/* With the program at this path. */
int symd_new_at(const char *worker, struct symd **ret) __must_check;
struct symd *symd_free(struct symd *s); /* ends the worker */
DEFINE_CLEANUP(struct symd *, symd_free)

/* The present worker, so that it is not profiled; 0: none. */
pid_t symd_pid(const struct symd *s);
double symd_cpu_s(const struct symd *s); /* of all workers so far */
/* True where a layer of the sandbox beside seccomp holds. */
bool symd_has_landlock(const struct symd *s);
bool symd_is_nobody(const struct symd *s);

/* Of a regular file (else -EINVAL), which need only be open for reading. */
int symd_info(struct symd *s, int fd, struct object_info *ret) __must_check;
int symd_crc(struct symd *s, int fd, uint32_t *ret) __must_check;

/*
 * Append the names of the functions inlined at vaddr, each with its NUL, the innermost first.
 * Returns how many. Beside the common errors: -ENOENT nothing is known of the address, -ENODATA
 * the file has no DWARF, -EFBIG it passes SYMD_INLINES_FILE_MAX, -ENOTSUP. The worker keeps what
 * it has read of a file until another one is asked for.
 */
int symd_inlines(struct symd *s, int fd, uint64_t vaddr, struct buf *out) __must_check;

struct symd_symbols;

int symd_symbols(struct symd *s, int fd, struct symd_symbols **ret) __must_check;
struct symd_symbols *symd_symbols_free(struct symd_symbols *t);
DEFINE_CLEANUP(struct symd_symbols *, symd_symbols_free)
size_t symd_symbols_count(const struct symd_symbols *t);
size_t symd_symbols_bytes(const struct symd_symbols *t); /* memory held */
bool symd_symbols_find(const struct symd_symbols *t, uint64_t vaddr, struct symbol *ret);
/* Append the plain form of a name of this table. -ENOENT: it is no mangled name. */
int symd_demangle(struct symd *s, const struct symd_symbols *t, const char *name,
		  struct buf *out) __must_check;

struct symd_rows;

int symd_rows(struct symd *s, int fd, struct symd_rows **ret) __must_check;
struct symd_rows *symd_rows_free(struct symd_rows *r);
DEFINE_CLEANUP(struct symd_rows *, symd_rows_free)
const struct cfi_table *symd_rows_table(const struct symd_rows *r); /* to read, cfi_lookup() */
const struct cfi_stats *symd_rows_stats(const struct symd_rows *r);
size_t symd_rows_bytes(const struct symd_rows *r);

enum symd_reason { SYMD_CRASHED, SYMD_STALLED, SYMD_BAD_REPLY };

struct symd_refusal {
	char path[SYMD_REFUSAL_PATH_MAX];
	enum symd_reason reason;
};

const char *symd_reason_text(enum symd_reason reason);
/* Files that are refused, the oldest first, at most SYMD_REFUSALS_MAX. NULL past the end. */
const struct symd_refusal *symd_refused_file(const struct symd *s, size_t i);
uint64_t symd_killed(const struct symd *s);  /* workers that a file has cost */
uint64_t symd_refused(const struct symd *s); /* requests that were not made */

#endif
