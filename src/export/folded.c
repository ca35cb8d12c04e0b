/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "render.h"

#define VALUE_DIGITS 24 /* blank, 20 digits, NUL */

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int d = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return d ? d : (a_len > b_len) - (a_len < b_len);
}

/* The short name is the start of the long one: what follows it decides. */
static int compare_tail(const struct line *line, uint32_t i, size_t short_len, const char *name,
			size_t len)
{
	char value[VALUE_DIGITS];
	int n;

	if (i + 1 < line->n)
		return compare_bytes(";", 1, name + short_len, len - short_len);
	n = snprintf(value, sizeof(value), " %" PRIu64, line->value);
	return compare_bytes(value, (size_t)n, name + short_len, len - short_len);
}

/* As "LC_ALL=C sort" orders the lines, their numbers included, without making their text. */
static int compare_lines(const void *x, const void *y, void *ctx)
{
	const struct line *a = x, *b = y;
	const struct render *r = ctx;
	const char *a_name, *b_name;
	size_t a_len, b_len;
	uint32_t i = 0;
	int d;

	while (i < a->n && i < b->n && a->names[i] == b->names[i])
		i++;
	if (i == a->n || i == b->n)
		return (a->n > b->n) - (a->n < b->n); /* ' ' sorts before ';' */
	a_name = render_name(r, a->names[i], &a_len);
	b_name = render_name(r, b->names[i], &b_len);
	d = memcmp(a_name, b_name, a_len < b_len ? a_len : b_len);
	if (d)
		return d;
	return a_len < b_len ? compare_tail(a, i, a_len, b_name, b_len)
			     : -compare_tail(b, i, b_len, a_name, a_len);
}

/* In one piece: a line is reserved whole before it is filled. */
static void write_line(const struct render *r, const struct line *line, struct buf *out)
{
	char value[VALUE_DIGITS], *p;
	size_t n = (size_t)snprintf(value, sizeof(value), " %" PRIu64 "\n", line->value);
	size_t size = n + line->n - 1, len;

	for (uint32_t i = 0; i < line->n; i++) {
		(void)render_name(r, line->names[i], &len);
		size += len;
	}
	p = buf_extend(out, size);
	if (!p)
		return;
	for (uint32_t i = 0; i < line->n; i++) {
		const char *name = render_name(r, line->names[i], &len);

		if (i)
			*p++ = ';';
		p = mempcpy(p, name, len);
	}
	memcpy(p, value, n);
}

/* Round the weights and drop what rounds to 0; the number of lines that are left. */
static size_t round_lines(struct line *lines, size_t n, double unit_ns)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		lines[i].value = (uint64_t)llround(lines[i].weight / unit_ns);
		if (lines[i].value)
			lines[kept++] = lines[i];
	}
	return kept;
}

int export_folded(const struct fold *f, enum fold_value value, struct names *names,
		  const struct export_options *o, struct buf *out, struct export_names *ret_names)
{
	_cleanup_(render_free) struct render *r = NULL;
	struct line *lines;
	size_t n;
	int err;

	err = render_new(f, value, names, &r);
	if (err)
		return err;
	lines = render_lines(r, &n);
	n = round_lines(lines, n, o->unit_ns);
	if (n)
		qsort_r(lines, n, sizeof(*lines), compare_lines, r);
	for (size_t i = 0; i < n; i++)
		write_line(r, &lines[i], out);
	if (out->error)
		return out->error;
	*ret_names = render_naming(r);
	return 0;
}
