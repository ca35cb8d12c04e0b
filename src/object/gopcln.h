/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The function table of a Go program (.gopclntab, from Go 1.18 on), which survives stripping:
 * for each function where it is, its name, and how far rsp is from the return address at each
 * instruction. Read through small windows: it may have a hundred MiB. For go*.c and cfi.c only.
 */
#ifndef FOLDD_OBJECT_GOPCLN_H
#define FOLDD_OBJECT_GOPCLN_H

#include "object/cfi_parts.h"
#include "object/image.h"

#define GO_FUNCTIONS_MAX CFI_FDES_MAX
#define GO_WINDOW_MAX    32768
#define GO_NAME_BYTES    48        /* of a name that is only looked at, with its NUL */
#define GO_PCSP_MAX      (1 << 20) /* steps of one function's table */
#define GO_FRAME_MAX     (1 << 28) /* bytes; Go itself allows less */

/* A view of a part of the file that moves. */
struct go_window {
	uint64_t offset; /* in the file */
	uint64_t size;   /* of the part */
	uint64_t start;  /* of data, in the part */
	size_t len;
	size_t ahead;
	unsigned char data[GO_WINDOW_MAX];
};

struct gopcln {
	const struct object_source *source;
	uint64_t text;                /* address that functions are counted from */
	uint32_t n;                   /* functions */
	size_t func_bytes;            /* of the fixed part of a function's entry */
	uint64_t start, end;          /* addresses of all code */
	struct go_window table;       /* where each function starts and its entry is */
	struct go_window names, pcsp; /* runs of bytes that entries point into */
	struct go_window funcs;       /* entries; the same part of the file as the table */
	struct go_window code;        /* of an executable segment */
};

struct go_func {
	uint64_t start, end;
	uint32_t name; /* offset in names */
	uint32_t pcsp; /* offset in pcsp; 0: none */
};

/*
 * Big, malloc'd. -ENOENT (no Go program, or none of a known format, or it does not say where its
 * code is), -EBADMSG, -E2BIG, -ENOMEM, read errors.
 */
int gopcln_open(const struct image *im, const struct object_info *info,
		struct gopcln **ret) __must_check;
struct gopcln *gopcln_free(struct gopcln *g);
DEFINE_CLEANUP(struct gopcln *, gopcln_free)
/* -EBADMSG: this function is of no use; others end everything. */
int gopcln_func(struct gopcln *g, uint32_t i, struct go_func *ret) __must_check;
/* The name of a function, cut to GO_NAME_BYTES - 1. */
int gopcln_name(struct gopcln *g, const struct go_func *f, char ret[GO_NAME_BYTES]) __must_check;
/* *ret: the last function that starts at or before vaddr, or the first one. */
int gopcln_find(struct gopcln *g, uint64_t vaddr, uint32_t *ret) __must_check;
/*
 * At least need bytes (or as many as the part has left) at an offset of a window's part; they live
 * until the next view through it. -EBADMSG: the part does not have them.
 */
int go_view(struct gopcln *g, struct go_window *w, uint64_t offset, size_t need,
	    struct cfi_bytes *ret) __must_check;

/* --- gorows.c --- */

/* Rows for the Go functions in [from, to), which rows counts as code of an extent. */
int gorows_add(struct gopcln *g, struct cfi_rows *rows, uint64_t from, uint64_t to) __must_check;

#endif
