/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include "base/log.h"
#include "cli.h"
#include "probe/features.h"

#define DOCTOR_BYTES_MAX 65536
#define NAME_WIDTH_MAX   40

static int name_width(const struct feature *list, size_t n)
{
	size_t width = strlen("feature");

	for (size_t i = 0; i < n; i++)
		if (strlen(list[i].name) > width)
			width = strlen(list[i].name);
	return (int)(width < NAME_WIDTH_MAX ? width : NAME_WIDTH_MAX);
}

static void add_feature(struct buf *out, const struct feature *f, int width)
{
	const char *state = f->available ? "yes" : f->required ? "NO" : "no";

	(void)buf_printf(out, "%-9s  %-*s  %s\n", state, width, f->name, f->wanted_by);
	if (f->available)
		return;
	if (f->why_not[0])
		(void)buf_printf(out, "%-9s  why: %s\n", "", f->why_not);
	if (f->remedy[0])
		(void)buf_printf(out, "%-9s  do:  %s\n", "", f->remedy);
}

int verb_doctor(const struct options *o)
{
	struct err e = { 0 };
	_cleanup_buf_ struct buf out;
	const struct feature *list;
	size_t n = 0;
	int width;

	(void)o;
	buf_init(&out, DOCTOR_BYTES_MAX);
	list = features_probe(&n);
	width = name_width(list, n);
	(void)buf_printf(&out, "%-9s  %-*s  %s\n", "available", width, "feature", "wanted by");
	for (size_t i = 0; i < n; i++)
		add_feature(&out, &list[i], width);
	if (stdout_write(out.data, out.len))
		return EXIT_RUNTIME;
	return features_check(&e) ? log_err(&e) : EXIT_DONE;
}
