/* SPDX-License-Identifier: BSD-2-Clause */
/* --help and foldd(1), from the same table that the parser uses. */
#include <string.h>
#include "options.h"

#define HELP_WIDTH  79
#define HELP_COLUMN 26

static const char *const usages[] = {
	"[record] TARGET [OPTION]...",
	"doctor",
	"version",
};

static const char *const targets[] = {
	"-p PID[,PID]...",
	"-a",
	"-C CGROUP",
	"-- COMMAND [ARG]...",
};

static const struct {
	int status;
	const char *meaning;
} statuses[] = {
	{ EXIT_DONE, "done" },
	{ EXIT_RUNTIME, "an error at run time" },
	{ EXIT_USAGE, "the command line makes no sense" },
	{ EXIT_NO_TARGET, "there is no such target" },
	{ EXIT_PRIVILEGE, "a privilege is missing" },
	{ EXIT_KERNEL, "the kernel lacks a feature" },
	{ EXIT_LOSSY, "done, but more was lost than --max-loss allows" },
	{ EXIT_INTERRUPTED, "interrupted before there was any data, or twice" },
};

/* Words up to the width, further lines indented to the column. */
static void wrap(struct buf *out, size_t at, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, " ");

		if (at > HELP_COLUMN && at + 1 + len > HELP_WIDTH) {
			(void)buf_printf(out, "\n%*s", HELP_COLUMN, "");
			at = HELP_COLUMN;
		} else if (at > HELP_COLUMN) {
			(void)buf_addc(out, ' ');
			at++;
		}
		(void)buf_add(out, text, len);
		at += len;
		text += len + (text[len] == ' ');
	}
	(void)buf_addc(out, '\n');
}

static void help_row(struct buf *out, const char *head, const char *text)
{
	size_t len = strlen(head);

	(void)buf_adds(out, head);
	if (len + 2 > HELP_COLUMN)
		(void)buf_printf(out, "\n%*s", HELP_COLUMN, "");
	else
		(void)buf_printf(out, "%*s", HELP_COLUMN - (int)len, "");
	wrap(out, HELP_COLUMN, text);
}

static void help_option(struct buf *out, const struct option_row *row)
{
	char key[8] = "    ", head[128];

	if (row->key)
		(void)snprintf(key, sizeof(key), "-%c, ", row->key);
	(void)snprintf(head, sizeof(head), "  %s--%s%s%s", key, row->name, row->metavar ? " " : "",
		       row->metavar ? row->metavar : "");
	help_row(out, head, row->help);
}

int options_help(struct buf *out)
{
	char head[32];

	(void)buf_adds(out, "foldd tells why threads wait, as folded stacks.\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(usages); i++)
		(void)buf_printf(out, "%s foldd %s\n", i ? "      " : "usage:", usages[i]);
	(void)buf_adds(out, "\nTARGET, exactly one of:\n");
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
		(void)buf_printf(out, "  %s\n", targets[i]);
	(void)buf_adds(out, "\nVerbs:\n");
	for (size_t i = 0; i < VERB_MAX; i++) {
		if (!verb_table[i].help)
			continue;
		(void)snprintf(head, sizeof(head), "  %s", verb_table[i].name);
		help_row(out, head, verb_table[i].help);
	}
	(void)buf_adds(out, "\nOptions:\n");
	for (size_t i = 0; i < option_count; i++)
		if (option_table[i].help)
			help_option(out, &option_table[i]);
	(void)buf_adds(out,
		       "\nThe recording of a COMMAND ends when the command exits; one that still "
		       "runs when\n-d has passed is left running. Details: foldd(1).\n\n"
		       "Exit status:\n");
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		(void)buf_printf(out, "  %3d  %s\n", statuses[i].status, statuses[i].meaning);
	return out->error;
}

/* '-' and '^' would be set as other characters, '\' is roff's own. A line's end ends a paragraph.
 */
static void roff(struct buf *out, const char *text)
{
	for (const char *p = text; *p; p++) {
		if (*p == '^')
			(void)buf_adds(out, "\\(ha");
		else if (*p == '\n')
			(void)buf_adds(out, "\n.PP\n");
		else if (*p == '-' || *p == '\\')
			(void)buf_printf(out, "\\%c", *p);
		else
			(void)buf_addc(out, *p);
	}
}

static void roff_section(struct buf *out, const char *title, const char *text)
{
	(void)buf_printf(out, ".SH %s\n", title);
	roff(out, text);
	(void)buf_addc(out, '\n');
}

static void roff_option(struct buf *out, const struct option_row *row)
{
	(void)buf_adds(out, ".TP\n");
	if (row->key)
		(void)buf_printf(out, "\\fB\\-%c\\fR, ", row->key);
	(void)buf_adds(out, "\\fB\\-\\-");
	roff(out, row->name);
	(void)buf_adds(out, "\\fR");
	if (row->metavar) {
		(void)buf_adds(out, " \\fI");
		roff(out, row->metavar);
		(void)buf_adds(out, "\\fR");
	}
	(void)buf_addc(out, '\n');
	roff(out, row->help);
	(void)buf_adds(out, ".\n");
}

static void roff_files(struct buf *out)
{
	roff_section(
		out, "FILES",
		"DIR/offcpu.folded: microseconds off CPU, a line a stack: the name of the "
		"process, its frames from the root on, kernel frames marked _[k], inlined "
		"functions "
		"_[i], and the reason of the wait in brackets.\n"
		"DIR/cpu.folded: microseconds on CPU.\n"
		"DIR/summary.json: exact totals by process and reason in nanoseconds, how much "
		"of them the stacks account for, what was lost and why, and the own cost.\n"
		"The files appear together at the end or not at all. They are readable by their "
		"owner and group only, since names in them come from the recorded programs.");
}

static const char description[] =
	"foldd records where the threads of a Linux host spend their time, on CPU and off it, as "
	"folded stacks for flame graphs. The kernel counts all time exactly, by process and "
	"reason; "
	"stacks are sampled in proportion to the time that they stand for, so that their sums are "
	"unbiased estimates of those totals. The last line that is printed says how much of the "
	"time "
	"the stacks account for, with the statistical error of that share, and what was lost.\n"
	"Without -d a recording runs until ^C or until all its targets are gone. The first ^C, or "
	"SIGTERM, finishes and writes; the second aborts and writes nothing.\n"
	"A COMMAND is run with the privileges of foldd. Its recording ends when it exits; when -d "
	"passes first, the command is left running. With -o - its standard output goes to standard "
	"error.";

int options_man(struct buf *out)
{
	(void)buf_printf(out, ".TH FOLDD 1 \"\" \"foldd %s\"\n", FOLDD_VERSION);
	roff_section(out, "NAME", "foldd - tells why threads wait, as folded stacks");
	(void)buf_adds(out, ".SH SYNOPSIS\n.nf\n");
	for (size_t i = 0; i < ARRAY_SIZE(usages); i++) {
		(void)buf_adds(out, "\\fBfoldd\\fR ");
		roff(out, usages[i]);
		(void)buf_addc(out, '\n');
	}
	(void)buf_adds(out, ".PP\nTARGET, exactly one of:\n");
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		(void)buf_adds(out, "    ");
		roff(out, targets[i]);
		(void)buf_addc(out, '\n');
	}
	(void)buf_adds(out, ".fi\n");
	roff_section(out, "DESCRIPTION", description);
	(void)buf_adds(out, ".SH VERBS\n");
	for (size_t i = 0; i < VERB_MAX; i++) {
		if (!verb_table[i].help)
			continue;
		(void)buf_printf(out, ".TP\n\\fB%s\\fR\n", verb_table[i].name);
		roff(out, verb_table[i].help);
		(void)buf_adds(out, ".\n");
	}
	(void)buf_adds(out, ".SH OPTIONS\n");
	for (size_t i = 0; i < option_count; i++)
		if (option_table[i].help)
			roff_option(out, &option_table[i]);
	roff_files(out);
	(void)buf_adds(out, ".SH EXIT STATUS\n");
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		(void)buf_printf(out, ".TP\n%d\n", statuses[i].status);
		roff(out, statuses[i].meaning);
		(void)buf_adds(out, ".\n");
	}
	(void)buf_adds(out, ".SH EXAMPLES\n.nf\nfoldd \\-p 4711 \\-d 30s \\-o out\n"
			    "flamegraph.pl \\-\\-colors=io \\-\\-countname=us out/offcpu.folded "
			    "> offcpu.svg\n"
			    "foldd \\-k cpu \\-o \\- \\-\\- make \\-j4 > cpu.folded\n.fi\n");
	return out->error;
}
