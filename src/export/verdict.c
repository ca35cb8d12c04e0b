/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "base/text.h"
#include "escape.h"
#include "summary.h"

#define REFUSED_SHOWN 3 /* paths in the verdict; all are in summary.json */

/* A small share needs more digits than a large one: "99.8", "0.42", "0.0031". */
static void add_percent(struct buf *out, double percent)
{
	(void)buf_printf(out, percent >= 1 || percent <= 0 ? "%.1f%%" : "%.2g%%", percent);
}

static const char *time_of(double ns, char *text, size_t size)
{
	return text_format_ns(ns > 0 ? (uint64_t)llround(ns) : 0, text, size);
}

static void add_kind(const struct summary_kind *k, unsigned int kind, struct buf *out)
{
	const char *where = kind == FOLDD_KIND_CPU ? "on CPU" : "off CPU";
	char time[32];

	(void)buf_printf(out, "%s: ", foldd_kind_name(kind));
	if (!(k->total > 0)) {
		(void)buf_printf(out, "nothing to capture, no time %s; ", where);
		return;
	}
	(void)buf_adds(out, "captured ");
	add_percent(out, summary_coverage(k) * 100);
	(void)buf_printf(out, " of %s %s", time_of(k->total, time, sizeof(time)), where);
	/* Sampled, so the share is an unbiased estimate; with T = 0 it is a plain count. */
	if (k->error > 0) {
		(void)buf_adds(out, " (+-");
		add_percent(out, k->error / k->total * 100);
		(void)buf_addc(out, ')');
	}
	(void)buf_printf(out, ", %" PRIu64 " samples; ", k->samples);
}

static void add_losses(const struct summary *s, struct buf *out)
{
	static const char *const keys[FOLDD_LOSS_MAX] = {
#define X(id, n, key, text) [n] = key,
		FOLDD_LOSSES(X)
#undef X
	};
	const char *separator = " (";

	(void)buf_printf(out, "%" PRIu64 " lost", summary_losses(s));
	if (!summary_losses(s))
		return;
	for (size_t i = 0; i < FOLDD_LOSS_MAX; i++) {
		if (!s->losses[i].count)
			continue;
		(void)buf_printf(out, "%s%s %" PRIu64, separator, keys[i] ? keys[i] : "other",
				 (uint64_t)s->losses[i].count);
		separator = ", ";
	}
	(void)buf_adds(out, "), ");
	add_percent(out, summary_loss_percent(s));
	(void)buf_adds(out, " of the time");
}

/* By name, the first few of them: what they are called is up to their owners. */
static void add_refused_files(const struct summary *s, struct buf *out)
{
	size_t shown = s->n_refused_files < REFUSED_SHOWN ? s->n_refused_files : REFUSED_SHOWN;

	for (size_t i = 0; i < shown; i++) {
		const struct summary_file *f = &s->refused_files[i];

		(void)buf_adds(out, i ? ", " : "; not read: ");
		(void)escape_name(out, f->path, strlen(f->path));
		(void)buf_printf(out, " (%s)", f->why);
	}
	if (shown < s->n_refused_files)
		(void)buf_printf(out, " and %zu more", s->n_refused_files - shown);
}

int summary_verdict(const struct summary *s, struct buf *out)
{
	for (unsigned int i = 0; i < FOLDD_KIND_MAX; i++)
		if (s->kinds[i].present)
			add_kind(&s->kinds[i], i, out);
	add_losses(s, out);
	if (isfinite(s->named_share) && s->named_share < 1) {
		(void)buf_adds(out, "; ");
		add_percent(out, (1 - s->named_share) * 100);
		(void)buf_adds(out, " of user stacks without a symbol at their leaf");
	}
	add_refused_files(s, out);
	(void)buf_adds(out, "; own cost ");
	add_percent(out, s->duration_s > 0 ? s->cost_cpu_s / s->duration_s * 100 : 0);
	return buf_adds(out, " of a CPU");
}
