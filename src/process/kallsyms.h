/* SPDX-License-Identifier: BSD-2-Clause */
/* Kernel symbols, from /proc/kallsyms; what lies where in modules is from /proc/modules. */
#ifndef FOLDD_KALLSYMS_H
#define FOLDD_KALLSYMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"

#define KALLSYMS_BYTES_MAX   (64 << 20) /* of text; a distribution kernel with modules has 12 MiB */
#define KALLSYMS_SYMBOLS_MAX 1000000
#define KALLSYMS_MODULES_MAX 4096

struct kallsyms;

struct kallsyms_symbol {
	const char *name;   /* lives as long as the table */
	const char *module; /* without brackets; NULL: the kernel itself */
	uint64_t address;
};

/*
 * Pure: both texts as the files in /proc have them; they are copied from. -EPERM where the
 * addresses are zeroed, -ENOENT where the bounds of the kernel's text are not told.
 */
int kallsyms_parse(const char *symbols, size_t symbols_len, const char *modules, size_t modules_len,
		   struct kallsyms **ret) __must_check;
int kallsyms_load(struct kallsyms **ret) __must_check;
/* A quick look at the start of /proc/kallsyms. 0, -EPERM where zeroed, or why it is unreadable. */
int kallsyms_check(void);
struct kallsyms *kallsyms_free(struct kallsyms *k);
DEFINE_CLEANUP(struct kallsyms *, kallsyms_free)
size_t kallsyms_count(const struct kallsyms *k);
size_t kallsyms_bytes(const struct kallsyms *k);
bool kallsyms_find(const struct kallsyms *k, uint64_t address, struct kallsyms_symbol *ret);

#endif
