/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "base/text.h"
#include "render.h"

#define TOP_FRAMES_MAX 24 /* lines of one stack, so that ten of them can be looked over */
#define TOP_ROOT_SIDE  4  /* of those, at the root: main and what it called */
#define TOP_INDENT     22
#define TOP_NAME_MAX   160 /* bytes of a name: C++ signatures would fill the screen */

static int compare_weights(const void *x, const void *y)
{
	const struct line *a = x, *b = y;

	return (a->weight < b->weight) - (a->weight > b->weight);
}

static void write_name(const struct render *r, uint32_t name, struct buf *out)
{
	size_t len, cut = TOP_NAME_MAX;
	const char *text = render_name(r, name, &len);

	if (len <= TOP_NAME_MAX) {
		(void)buf_add(out, text, len);
		return;
	}
	while (cut && ((unsigned char)text[cut] & 0xc0) == 0x80)
		cut--;
	(void)buf_add(out, text, cut);
	(void)buf_adds(out, "...");
}

static void write_frame(const struct render *r, uint32_t name, struct buf *out)
{
	(void)buf_printf(out, "%*s", TOP_INDENT, "");
	write_name(r, name, out);
	(void)buf_addc(out, '\n');
}

/* The root frame, which names the process, stands in the head line. */
static void write_stack(const struct render *r, const struct line *line, double total,
			struct buf *out)
{
	uint32_t n = line->n - 1, leaf_side = n;
	char time[32];

	if (n > TOP_FRAMES_MAX)
		leaf_side = TOP_FRAMES_MAX - TOP_ROOT_SIDE - 1;
	(void)buf_printf(out, "%10s %6.2f%%  ",
			 text_format_ns((uint64_t)llround(line->weight), time, sizeof(time)),
			 total > 0 ? line->weight / total * 100 : 0.0);
	write_name(r, line->names[0], out);
	(void)buf_addc(out, '\n');
	for (uint32_t i = 0; i < leaf_side; i++)
		write_frame(r, line->names[n - i], out);
	if (leaf_side == n)
		return;
	(void)buf_printf(out, "%*s... %" PRIu32 " more\n", TOP_INDENT, "",
			 n - leaf_side - TOP_ROOT_SIDE);
	for (uint32_t i = TOP_ROOT_SIDE; i; i--)
		write_frame(r, line->names[i], out);
}

/* Kernel threads with nothing to do would fill the list on every idle host. */
static bool is_idle(const struct render *r, const struct line *line)
{
	static const char *const idle[] = { "[kthread idle]", "[io worker idle]" };
	size_t len;
	const char *leaf = render_name(r, line->names[line->n - 1], &len);

	for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
		if (len == strlen(idle[i]) && !memcmp(leaf, idle[i], len))
			return true;
	return false;
}

int export_top(const struct fold *f, enum fold_value value, struct names *names,
	       const struct export_options *o, struct buf *out)
{
	double total = fold_total(f, value).weight;
	_cleanup_(render_free) struct render *r = NULL;
	struct line *lines;
	double left_out = 0;
	char time[32];
	size_t n, shown = 0;
	int err;

	err = render_new(f, value, names, &r);
	if (err)
		return err;
	lines = render_lines(r, &n);
	if (n)
		qsort(lines, n, sizeof(*lines), compare_weights);
	for (size_t i = 0; i < n; i++) {
		if (is_idle(r, &lines[i]))
			left_out += lines[i].weight;
		else if (shown++ < o->top)
			write_stack(r, &lines[i], total, out);
	}
	if (left_out > 0)
		(void)buf_printf(out, "(and %s of idle kernel threads, which the files have)\n",
				 text_format_ns((uint64_t)llround(left_out), time, sizeof(time)));
	return out->error;
}
