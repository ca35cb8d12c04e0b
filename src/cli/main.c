/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"
#include "cli.h"

static int (*const verbs[VERB_MAX])(const struct options *o) = {
	[VERB_RECORD] = verb_record, [VERB_DOCTOR] = verb_doctor, [VERB_VERSION] = verb_version,
	[VERB_HELP] = verb_help,     [VERB_MAN] = verb_man,
};

int main(int argc, char **argv)
{
	struct err e = { 0 };
	struct options o;

	signals_block();
	/* libelf and libdw would go and ask a server for debug files of what is recorded. */
	(void)unsetenv("DEBUGINFOD_URLS");
	if (options_parse(argc, argv, &o, &e))
		return log_err(&e);
	return verbs[o.verb](&o);
}
