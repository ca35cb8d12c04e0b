/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "cli/options.h"

#define WORDS_MAX 32

static struct err last;

/* The line is cut at its blanks; a word '' is an empty one. */
static int parse(const char *line, struct options *o)
{
	static char text[512];
	static char *argv[WORDS_MAX + 1];
	int argc = 0;

	(void)snprintf(text, sizeof(text), "foldd %s", line);
	for (char *word = strtok(text, " "); word && argc < WORDS_MAX; word = strtok(NULL, " "))
		argv[argc++] = strcmp(word, "''") ? word : word + 2;
	argv[argc] = NULL;
	last = (struct err){ 0 };
	return options_parse(argc, argv, o, &last);
}

static struct options parsed(const char *line)
{
	struct options o;

	if (parse(line, &o))
		fail_msg("%s: %s", line, last.what);
	return o;
}

static void refused(const char *line, const char *what)
{
	struct options o = { .max_rate = 4711 };

	if (!parse(line, &o))
		fail_msg("not refused: %s", line);
	assert_int_equal(last.status, EXIT_USAGE);
	if (!strstr(last.what, what))
		fail_msg("%s: %s", line, last.what);
	assert_int_equal(o.max_rate, 4711); /* untouched */
}

static void test_defaults(void **state)
{
	struct options o = parsed("-a");

	(void)state;
	assert_int_equal(o.verb, VERB_RECORD);
	assert_int_equal(o.target, TARGET_ALL);
	assert_int_equal(o.kinds, 1 << FOLDD_KIND_OFFCPU | 1 << FOLDD_KIND_CPU);
	assert_int_equal(o.duration_ns, 0);
	assert_null(o.output);
	assert_int_equal(o.period_ns, PROFILER_PERIOD_NS);
	assert_int_equal(o.max_rate, PROFILER_MAX_RATE);
	assert_true(isnan(o.max_loss));
	assert_false(o.threads || o.no_kernel || o.quiet);
}

static void test_everything(void **state)
{
	struct options o = parsed("record -p 17,18 -p 17 -d 1.5s -o out --period 0 --max-rate 500 "
				  "--max-loss 0.5% -k cpu --threads");

	(void)state;
	assert_int_equal(o.target, TARGET_PIDS);
	assert_int_equal(o.n_pids, 2);
	assert_int_equal(o.pids[1], 18);
	assert_int_equal(o.duration_ns, 1500000000);
	assert_string_equal(o.output, "out");
	assert_int_equal(o.period_ns, 0);
	assert_int_equal(o.max_rate, 500);
	assert_true(fabs(o.max_loss - 0.5) < 1e-12);
	assert_int_equal(o.kinds, 1 << FOLDD_KIND_CPU);
	assert_true(o.threads);
	o = parsed("--cgroup=/system.slice --no-kernel --quiet --duration=5m --kinds=offcpu,cpu");
	assert_int_equal(o.target, TARGET_CGROUP);
	assert_string_equal(o.cgroup, "/system.slice");
	assert_int_equal(o.duration_ns, 300000000000);
	assert_true(o.no_kernel && o.quiet);
	assert_false(o.inlines); /* slow: only where it is asked for */
}

static void test_command(void **state)
{
	struct options o = parsed("-d 5s -- make -j4 -o x");

	(void)state;
	assert_int_equal(o.target, TARGET_COMMAND);
	assert_string_equal(o.command[0], "make");
	assert_string_equal(o.command[1], "-j4");
	assert_string_equal(o.command[3], "x");
	assert_null(o.command[4]);
	assert_null(o.output);
	refused("make -j4", "no such verb: make");
	refused("-d 5s make", "unexpected argument: make");
	refused("record make", "unexpected argument: make");
	refused("--", "no command after --");
	refused("-p 1 -- make", "only one target");
}

static void test_targets(void **state)
{
	(void)state;
	refused("", "no target");
	refused("record", "no target");
	refused("-d 5s", "no target");
	refused("-a -p 1", "only one target");
	refused("-a -C x", "only one target");
	refused("-p 1 -C x", "only one target");
	refused("-p 0", "not a process id");
	refused("-p -1", "not a process id");
	refused("-p 1,", "not a process id");
	refused("-p ''", "not a process id");
	refused("-p 12x", "not a process id");
	refused("-p 99999999999999999999", "not a process id");
	refused("-p 2147483648", "not a process id");
	assert_int_equal(parsed("-p 2147483647").pids[0], INT32_MAX);
	refused("-C ''", "not a value");
	refused("-p", "-p needs a value");
}

static void test_too_many_pids(void **state)
{
	static char list[PROFILER_TARGETS_MAX * 6 + 16];
	char *argv[] = { "foldd", "-p", list, NULL };
	struct err e = { 0 };
	struct options o;
	size_t n = 0;

	(void)state;
	for (int i = 1; i <= PROFILER_TARGETS_MAX; i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, i > 1 ? ",%d" : "%d", i);
	assert_int_equal(options_parse(3, argv, &o, &e), 0);
	assert_int_equal(o.n_pids, PROFILER_TARGETS_MAX);
	(void)snprintf(list + n, sizeof(list) - n, ",70000");
	assert_int_equal(options_parse(3, argv, &o, &e), -1);
	assert_int_equal(e.status, EXIT_USAGE);
}

static void test_values(void **state)
{
	(void)state;
	refused("-a -d 5x", "not a duration");
	refused("-a -d 0", "out of range");
	refused("-a -d 100000h", "out of range");
	refused("-a -d 99999999999999999999s", "out of range");
	refused("-a -d ''", "not a duration");
	refused("-a -d -5s", "not a duration");
	refused("-a --period 2h", "out of range");
	refused("-a --max-rate 0", "out of range");
	refused("-a --max-rate 1e3", "not a whole number");
	refused("-a --max-loss 101", "not within");
	refused("-a --max-loss -1", "not a percentage");
	refused("-a --max-loss nan", "not a percentage");
	refused("-a --max-loss inf", "not a percentage");
	refused("-a --max-loss 0x1", "not a percentage");
	refused("-a --max-loss 1.2.3", "not a percentage");
	refused("-a --max-loss %", "not a percentage");
	refused("-a --max-loss ''", "not a percentage");
	assert_true(parsed("-a --max-loss 0").max_loss == 0);
	assert_true(parsed("-a --max-loss 100").max_loss == 100);
	refused("-o -d 5s -a", "not a value");
	refused("-a -o ''", "not a value");
}

static void test_kinds(void **state)
{
	(void)state;
	refused("-a -k lock", "not in this version");
	refused("-a -k offcpu,heap", "not in this version");
	refused("-a -k offcpux", "no such kind");
	refused("-a -k ''", "no such kind");
	refused("-a -o -", "single kind");
	refused("-a -o - -k cpu,offcpu", "single kind");
	assert_true(options_to_stdout(&(struct options){ .output = "-" }));
	assert_int_equal(parsed("-a -o - -k cpu -k cpu").kinds, 1 << FOLDD_KIND_CPU);
}

static void test_words(void **state)
{
	(void)state;
	refused("-a --foo", "--foo");
	refused("-a -x", "no such option: -x");
	refused("-a --quiet=1", "--quiet takes no value");
	refused("dump -p 1", "not in this version");
	refused("doctor -p 1", "takes no -p");
	refused("doctor x", "unexpected argument");
	refused("version -- x", "unexpected argument");
	assert_int_equal(parsed("doctor").verb, VERB_DOCTOR);
	assert_int_equal(parsed("version").verb, VERB_VERSION);
	assert_int_equal(parsed("--version").verb, VERB_VERSION);
	assert_int_equal(parsed("-a -p 1 --help --foo").verb, VERB_HELP);
	assert_int_equal(parsed("doctor -h").verb, VERB_HELP);
	assert_int_equal(parsed("--dump-man").verb, VERB_MAN);
}

/* What is in the table is in the help and in the page, and fits a terminal. */
static void test_texts(void **state)
{
	_cleanup_buf_ struct buf help, man;
	char word[64];

	(void)state;
	buf_init(&help, 65536);
	buf_init(&man, 65536);
	assert_int_equal(options_help(&help), 0);
	assert_int_equal(options_man(&man), 0);
	for (size_t i = 0; i < option_count; i++) {
		(void)snprintf(word, sizeof(word), "--%s", option_table[i].name);
		if (!option_table[i].help) {
			assert_null(strstr(help.data, word));
			continue;
		}
		assert_non_null(strstr(help.data, word));
		assert_true(option_table[i].verbs != 0);
	}
	for (const char *p = help.data; *p; p += strcspn(p, "\n") + 1)
		assert_true(strcspn(p, "\n") <= 80);
	assert_non_null(strstr(man.data, ".TH FOLDD 1"));
	assert_non_null(strstr(man.data, "\\fB\\-\\-max\\-loss\\fR"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_everything),
		cmocka_unit_test(test_command),  cmocka_unit_test(test_targets),
		cmocka_unit_test(test_values),   cmocka_unit_test(test_too_many_pids),
		cmocka_unit_test(test_kinds),    cmocka_unit_test(test_words),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
