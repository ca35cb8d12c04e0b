/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What can be said on the command line, in one table: parsing, --help, the man page and the keys
 * of a configuration file are all made from it. Free of main(), so that tests can link it.
 */
#ifndef FOLDD_OPTIONS_H
#define FOLDD_OPTIONS_H

#include <foldd/record.h>
#include <stdint.h>
#include "profiler/profiler.h"

enum verb { VERB_RECORD = 0, VERB_DOCTOR, VERB_VERSION, VERB_HELP, VERB_MAN, VERB_MAX };

#define VERB_BIT(v) (1U << (v))
#define VERBS_ALL   (VERB_BIT(VERB_MAX) - 1)

enum option_type {
	OPTION_FLAG,     /* bool */
	OPTION_COUNT,    /* uint64_t, min to max */
	OPTION_DURATION, /* uint64_t ns, min to max ns */
	OPTION_PERCENT,  /* double, min to max */
	OPTION_TEXT,     /* const char * */
	OPTION_PIDS,     /* pids and n_pids */
	OPTION_KINDS,    /* unsigned int, 1 << enum foldd_kind */
	OPTION_VERB,     /* --help and the like: min is the enum verb */
};

struct option_row {
	const char *name; /* long option, without the dashes */
	char key;         /* short option, or 0 */
	const char *metavar;
	const char *help;
	enum option_type type;
	uint64_t min, max;
	const char *config_key; /* NULL: makes no sense in a configuration file */
	unsigned int verbs;     /* VERB_BIT of those that take it */
	size_t offset;          /* of the value in struct options */
};

struct verb_row {
	const char *name;
	const char *help; /* NULL: not shown */
};

struct options {
	enum verb verb;
	enum target_type target;
	pid_t pids[PROFILER_TARGETS_MAX];
	size_t n_pids;
	bool all;
	const char *cgroup;
	char **command;       /* argv of the command, NULL at its end; or NULL */
	unsigned int kinds;   /* 1 << enum foldd_kind */
	uint64_t duration_ns; /* 0: until ^C */
	const char *output;   /* directory; "-": standard output; NULL: a name is made up */
	uint64_t period_ns;
	uint64_t max_rate;
	double max_loss; /* percent; NaN: any loss is accepted */
	bool threads, no_kernel, inlines, quiet;
};

/*
 * 0 and *ret is complete: for VERB_RECORD there is exactly one target. -1 with *e filled
 * (EXIT_USAGE). Texts and the command point into argv. Uses getopt's globals: one thread.
 */
int options_parse(int argc, char **argv, struct options *ret, struct err *e);

extern const struct option_row option_table[];
extern const size_t option_count;
extern const struct verb_row verb_table[VERB_MAX];

bool options_to_stdout(const struct options *o); /* -o - */
int options_help(struct buf *out);
int options_man(struct buf *out); /* foldd(1), roff */

#endif
