/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <string.h>
#include "base/text.h"
#include "options.h"

#define MS_NS       1000000ULL
#define HOUR_NS     (3600000ULL * MS_NS)
#define RATE_MIN    100 /* a sample in each of the windows that the rate is measured in */
#define RATE_MAX    1000000
#define PID_LIMIT   INT32_MAX /* past what kernels give: such a process is just not there */
#define OPTIONS_MAX 32
#define LONG_ONLY   256 /* values of long options without a short one, past any character */
#define KINDS_MAX   16
#define KIND_NAMES  "offcpu, cpu"
#define RECORD      VERB_BIT(VERB_RECORD)
#define AT(member)  offsetof(struct options, member)
#define IN(a, b)    .min = (a), .max = (b)

const struct verb_row verb_table[VERB_MAX] = {
	[VERB_RECORD] = { "record", "record profiles of a target; what foldd does without a verb" },
	[VERB_DOCTOR] = { "doctor", "tell what this host and these privileges allow" },
	[VERB_VERSION] = { "version", "print the version" },
	[VERB_HELP] = { "help", "print this help" },
	[VERB_MAN] = { "--dump-man", NULL },
};

/* clang-format off */
const struct option_row option_table[] = {
	{ "pid", 'p', "PID[,PID]...", "record these processes; may be repeated",
	  OPTION_PIDS, IN(1, PID_LIMIT), NULL, RECORD, AT(pids) },
	{ "all", 'a', NULL, "record the whole host",
	  OPTION_FLAG, IN(0, 0), "all", RECORD, AT(all) },
	{ "cgroup", 'C', "CGROUP", "record the processes of a cgroup (version 2): its path, whole or "
	  "below the root of the hierarchy", OPTION_TEXT, IN(0, 0), "cgroup", RECORD, AT(cgroup) },
	{ "kinds", 'k', "KIND[,KIND]...", "what to record: " KIND_NAMES "; all of them by default",
	  OPTION_KINDS, IN(0, 0), "kinds", RECORD, AT(kinds) },
	{ "duration", 'd', "DURATION", "stop after this time, such as 500ms, 30s or 5m; without it "
	  "record until ^C (once: finish and write, twice: abort) or until all targets are gone",
	  OPTION_DURATION, IN(MS_NS, 8760 * HOUR_NS), NULL, RECORD, AT(duration_ns) },
	{ "output", 'o', "DIR|-", "write the files into DIR, which is created if need be; '-' prints "
	  "the folded stacks of a single kind on standard output; by default a directory is named "
	  "after target and time", OPTION_TEXT, IN(0, 0), "output", RECORD, AT(output) },
	{ "period", 0, "PERIOD", "mean time between two sampled stacks of a thread off CPU (1ms); "
	  "0 takes every wait", OPTION_DURATION, IN(0, 100000ULL * MS_NS), "period", RECORD, AT(period_ns) },
	{ "max-rate", 0, "N", "samples a second before the period is raised (20000)",
	  OPTION_COUNT, IN(RATE_MIN, RATE_MAX), "max_rate", RECORD, AT(max_rate) },
	{ "max-loss", 0, "PERCENT", "exit with status 6 when more than this share of the recorded "
	  "time is lost; the files are written all the same",
	  OPTION_PERCENT, IN(0, 100), "max_loss", RECORD, AT(max_loss) },
	{ "threads", 0, NULL, "put the thread's name and id below the process, and its totals into "
	  "summary.json", OPTION_FLAG, IN(0, 0), "threads", RECORD, AT(threads) },
	{ "no-kernel", 0, NULL, "leave kernel frames out",
	  OPTION_FLAG, IN(0, 0), "no_kernel", RECORD, AT(no_kernel) },
	{ "inline", 0, NULL, "show functions that the compiler has inlined, name_[i], as frames of their "
	  "own, where a program or its debug file has DWARF; takes seconds and hundreds of megabytes "
	  "for large ones, after the recording",
	  OPTION_FLAG, IN(0, 0), "inline", RECORD, AT(inlines) },
	{ "quiet", 'q', NULL, "print errors and warnings only",
	  OPTION_FLAG, IN(0, 0), NULL, RECORD, AT(quiet) },
	{ "help", 'h', NULL, "print this help",
	  OPTION_VERB, IN(VERB_HELP, 0), NULL, VERBS_ALL, 0 },
	{ "version", 'V', NULL, "print the version",
	  OPTION_VERB, IN(VERB_VERSION, 0), NULL, VERBS_ALL, 0 },
	{ "dump-man", 0, NULL, NULL, /* for the build: the source of foldd(1) */
	  OPTION_VERB, IN(VERB_MAN, 0), NULL, VERBS_ALL, 0 },
};
/* clang-format on */
const size_t option_count = ARRAY_SIZE(option_table);

/* "-p" or "--period", as the person is told of it. */
static const char *shown(const struct option_row *row, char *text, size_t size)
{
	if (row->key)
		(void)snprintf(text, size, "-%c", row->key);
	else
		(void)snprintf(text, size, "--%s", row->name);
	return text;
}

static int bad_value(const struct option_row *row, const char *value, const char *why,
		     struct err *e)
{
	char text[64];

	return err_set(e, EXIT_USAGE, "%s %s: %s", shown(row, text, sizeof(text)), value, why);
}

static int set_count(const struct option_row *row, const char *value, uint64_t *ret, struct err *e)
{
	uint64_t v;

	if (text_parse_u64(value, &v))
		return bad_value(row, value, "not a whole number", e);
	if (v < row->min || v > row->max) {
		(void)bad_value(row, value, "out of range", e);
		return err_hint(e, "it can be %ju to %ju", (uintmax_t)row->min,
				(uintmax_t)row->max);
	}
	*ret = v;
	return 0;
}

static int set_duration(const struct option_row *row, const char *value, uint64_t *ret,
			struct err *e)
{
	char least[32], most[32];
	uint64_t v;
	int err;

	err = text_parse_duration(value, &v);
	if (err == -EINVAL) {
		(void)bad_value(row, value, "not a duration", e);
		return err_hint(e, "a number with its unit: 500ms, 30s, 5m");
	}
	if (err || v < row->min || v > row->max) {
		(void)bad_value(row, value, "out of range", e);
		return err_hint(e, "it can be %s to %s",
				text_format_ns(row->min, least, sizeof(least)),
				text_format_ns(row->max, most, sizeof(most)));
	}
	*ret = v;
	return 0;
}

/* strtod takes "inf", "nan", hexadecimal and leading blanks; people who type those err. */
static int set_percent(const struct option_row *row, const char *value, double *ret, struct err *e)
{
	size_t n = strspn(value, "0123456789.");
	char *end;
	double v = strtod(value, &end);

	if (!n || end != value + n || (*end && strcmp(end, "%")))
		return bad_value(row, value, "not a percentage", e);
	if (v < (double)row->min || v > (double)row->max)
		return bad_value(row, value, "not within 0 to 100", e);
	*ret = v;
	return 0;
}

static int add_pid(const struct option_row *row, const char *word, struct options *o, struct err *e)
{
	uint64_t v;

	if (text_parse_u64(word, &v) || v < row->min || v > row->max) {
		(void)bad_value(row, word, "not a process id", e);
		return err_hint(e, "process ids are whole numbers from 1 on: -p 4711 or -p 17,18");
	}
	for (size_t i = 0; i < o->n_pids; i++)
		if (o->pids[i] == (pid_t)v)
			return 0;
	if (o->n_pids == PROFILER_TARGETS_MAX) {
		(void)err_set(e, EXIT_USAGE, "more than %d processes", PROFILER_TARGETS_MAX);
		return err_hint(e, "record their cgroup with -C, or the whole host with -a");
	}
	o->pids[o->n_pids++] = (pid_t)v;
	return 0;
}

static int add_kind(const struct option_row *row, const char *word, struct options *o,
		    struct err *e)
{
	static const char *const later[] = { "lock", "mmap", "rss", "dlopen", "heap" };

	for (unsigned int i = 0; i < FOLDD_KIND_MAX; i++)
		if (!strcmp(word, foldd_kind_name(i))) {
			o->kinds |= 1U << i;
			return 0;
		}
	for (size_t i = 0; i < ARRAY_SIZE(later); i++)
		if (!strcmp(word, later[i]))
			(void)bad_value(row, word, "this kind of profile is not in this version",
					e);
	if (!e->status)
		(void)bad_value(row, word, "no such kind of profile", e);
	return err_hint(e, "there are: " KIND_NAMES);
}

/* Give each of the words between commas to fn. */
static int each_word(const struct option_row *row, const char *value, struct options *o,
		     struct err *e,
		     int (*fn)(const struct option_row *row, const char *word, struct options *o,
			       struct err *e))
{
	char word[64];
	size_t len;

	for (const char *p = value;; p += len + 1) {
		len = strcspn(p, ",");
		(void)snprintf(word, sizeof(word), "%.*s", (int)(len < 64 ? len : 63), p);
		if (fn(row, word, o, e))
			return -1;
		if (!p[len])
			return 0;
	}
}

static int set_option(const struct option_row *row, const char *value, struct options *o,
		      struct err *e)
{
	void *to = (char *)o + row->offset;

	switch (row->type) {
	case OPTION_FLAG:
		*(bool *)to = true;
		return 0;
	case OPTION_COUNT:
		return set_count(row, value, to, e);
	case OPTION_DURATION:
		return set_duration(row, value, to, e);
	case OPTION_PERCENT:
		return set_percent(row, value, to, e);
	case OPTION_TEXT:
		/* "-o -d 5s" is a value forgotten rather than a directory "-d". */
		if (!*value || (value[0] == '-' && value[1]))
			return bad_value(row, *value ? value : "''", "not a value", e);
		*(const char **)to = value;
		return 0;
	case OPTION_PIDS:
		return each_word(row, value, o, e, add_pid);
	case OPTION_KINDS:
		return each_word(row, value, o, e, add_kind);
	case OPTION_VERB:
		o->verb = (enum verb)row->min;
		return 0;
	}
	return 0;
}

/* What getopt_long wants to know of the table. */
static void fill_getopt(struct option *longs, char *shorts)
{
	/* '+': options end at the first other word; ':': errors are ours to print. */
	*shorts++ = '+';
	*shorts++ = ':';
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];

		longs[i].name = row->name;
		longs[i].has_arg = row->metavar ? required_argument : no_argument;
		longs[i].val = LONG_ONLY + (int)i;
		if (!row->key)
			continue;
		*shorts++ = row->key;
		if (row->metavar)
			*shorts++ = ':';
	}
	*shorts = '\0';
}

static const struct option_row *find_row(int value)
{
	if (value >= LONG_ONLY)
		return &option_table[value - LONG_ONLY];
	for (size_t i = 0; i < option_count; i++)
		if (value && option_table[i].key == value)
			return &option_table[i];
	return NULL;
}

/* getopt's '?' and ':' as our own words. */
static int bad_option(int c, char **argv, struct err *e)
{
	const struct option_row *row = find_row(optopt);
	char text[64];

	if (c == ':' && row)
		(void)err_set(e, EXIT_USAGE, "%s needs a value: %s", shown(row, text, sizeof(text)),
			      row->metavar);
	else if (row)
		(void)err_set(e, EXIT_USAGE, "--%s takes no value", row->name);
	else if (optopt)
		(void)err_set(e, EXIT_USAGE, "no such option: -%c", isprint(optopt) ? optopt : '?');
	else
		(void)err_set(e, EXIT_USAGE, "no such option, or not a unique one: %s",
			      argv[optind - 1]);
	return err_hint(e, "foldd --help lists the options");
}

/* The words behind "--", or none. */
static int take_rest(int argc, char **argv, struct options *o, struct err *e)
{
	bool dashes = optind > 1 && !strcmp(argv[optind - 1], "--");

	if (dashes && optind < argc && o->verb == VERB_RECORD) {
		o->command = argv + optind;
		return 0;
	}
	if (dashes && optind == argc) {
		(void)err_set(e, EXIT_USAGE, "there is no command after --");
		return err_hint(e, "for example: foldd -- make -j4");
	}
	if (optind < argc) {
		(void)err_set(e, EXIT_USAGE, "unexpected argument: %s", argv[optind]);
		return err_hint(e, "a process is given as -p PID, a command behind --");
	}
	return 0;
}

static int check_target(struct options *o, struct err *e)
{
	int n = (o->n_pids > 0) + o->all + (o->cgroup != NULL) + (o->command != NULL);

	if (n != 1) {
		(void)err_set(e, EXIT_USAGE,
			      n ? "there can be only one target" : "there is no target to record");
		return err_hint(e, "one of: -p PID[,PID]..., -a, -C CGROUP, -- COMMAND [ARG]...");
	}
	o->target = o->n_pids   ? TARGET_PIDS
		    : o->all    ? TARGET_ALL
		    : o->cgroup ? TARGET_CGROUP
				: TARGET_COMMAND;
	return 0;
}

bool options_to_stdout(const struct options *o)
{
	return o->output && !strcmp(o->output, "-");
}

static int check_record(struct options *o, struct err *e)
{
	if (check_target(o, e))
		return -1;
	if (o->inlines && !FOLDD_HAVE_LIBDW) {
		(void)err_set(e, EXIT_USAGE, "--inline: this foldd was built without libdw");
		return err_hint(e, "build it where libdw-dev (elfutils-devel) is installed");
	}
	if (!o->kinds)
		o->kinds = VERB_BIT(FOLDD_KIND_MAX) - 1;
	if (options_to_stdout(o) && (o->kinds & (o->kinds - 1))) {
		(void)err_set(e, EXIT_USAGE, "-o - prints a single kind of profile, not several");
		return err_hint(e, "choose one, such as -k offcpu, or give a directory");
	}
	return 0;
}

/* A verb as the first word; *ret_skip: it is there. */
static int find_verb(int argc, char **argv, struct options *o, int *ret_skip, struct err *e)
{
	static const char *const later[] = { "dump", "top", "diff", "export", "daemon", "ctl" };

	if (argc < 2 || argv[1][0] == '-')
		return 0;
	for (int i = 0; i < VERB_MAX; i++)
		if (!strcmp(argv[1], verb_table[i].name)) {
			o->verb = (enum verb)i;
			*ret_skip = 1;
			return 0;
		}
	for (size_t i = 0; i < ARRAY_SIZE(later); i++)
		if (!strcmp(argv[1], later[i])) {
			(void)err_set(e, EXIT_USAGE, "%s is not in this version", later[i]);
			return err_hint(e, "foldd --help lists the verbs");
		}
	(void)err_set(e, EXIT_USAGE, "no such verb: %s", argv[1]);
	return err_hint(e, "foldd --help lists the verbs; a command to run goes behind --");
}

static int parse_words(int argc, char **argv, struct options *o, struct err *e)
{
	struct option longs[OPTIONS_MAX] = { 0 };
	char shorts[2 * OPTIONS_MAX + 3], text[64];
	const struct option_row *row;
	enum verb verb = o->verb;
	int c;

	_Static_assert(ARRAY_SIZE(option_table) < OPTIONS_MAX, "a row of longs ends the array");
	fill_getopt(longs, shorts);
	optind = 0; /* glibc: start anew */
	opterr = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		row = c == '?' || c == ':' ? NULL : find_row(c);
		if (!row)
			return bad_option(c, argv, e);
		if (!(row->verbs & VERB_BIT(verb)))
			return err_set(e, EXIT_USAGE, "foldd %s takes no %s", verb_table[verb].name,
				       shown(row, text, sizeof(text)));
		if (set_option(row, optarg, o, e))
			return -1;
		if (row->type == OPTION_VERB)
			return 0; /* whatever else is there, the person wants to read */
	}
	return take_rest(argc, argv, o, e);
}

int options_parse(int argc, char **argv, struct options *ret, struct err *e)
{
	struct options o = {
		.verb = VERB_RECORD,
		.period_ns = PROFILER_PERIOD_NS,
		.max_rate = PROFILER_MAX_RATE,
		.max_loss = NAN,
	};
	int skip = 0;

	if (find_verb(argc, argv, &o, &skip, e) || parse_words(argc - skip, argv + skip, &o, e))
		return -1;
	if (o.verb == VERB_RECORD && check_record(&o, e))
		return -1;
	*ret = o;
	return 0;
}
