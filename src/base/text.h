/* SPDX-License-Identifier: BSD-2-Clause */
/* Parsing of what people type, and strict parsing of numbers in files. */
#ifndef FOLDD_TEXT_H
#define FOLDD_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include "cleanup.h"

/* Whole string as an unsigned decimal. 0, -EINVAL or -ERANGE. */
int text_parse_u64(const char *s, uint64_t *ret) __must_check;
/*
 * A duration, "500ms", "30s", "5m", "2h", "100us", "10ns"; a bare number is in seconds.
 * 0, -EINVAL or -ERANGE.
 */
int text_parse_duration(const char *s, uint64_t *ret_ns) __must_check;
/* "1.5 s", "230 ms", "12 us": at most four significant figures. Returns out. */
char *text_format_ns(uint64_t ns, char *out, size_t size);
/*
 * Scan one number in base 10 or 16 (no sign, no prefix) at *p, before end. Moves *p behind it.
 * 0, -EINVAL when there is no digit, -ERANGE on overflow.
 */
int text_scan_u64(const char **p, const char *end, unsigned int base, uint64_t *ret) __must_check;

#endif
