/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "parser.h"

int parser_open(struct objects **ret, struct err *e)
{
	int err = objects_new(ret);

	if (!err)
		return 0;
	if (err == -ENOMEM)
		return err_set(e, EXIT_RUNTIME, "out of memory");
	err_set(e, EXIT_RUNTIME, "cannot start foldd-symd, which reads the programs' files: %s",
		err == -EPIPE ? "it ended before it was ready" : strerror(-err));
	return err_hint(e, err == -ENOENT ? "It belongs beside foldd, or into libexec/foldd where "
					    "foldd is installed."
					  : "It must be of the same version as foldd.");
}

void parser_losses(const struct objects *o, struct foldd_loss_count *ret)
{
	const struct symd *s = objects_symd(o);

	ret[FOLDD_LOSS_PARSER_KILLED].count = symd_killed(s);
	ret[FOLDD_LOSS_PARSER_REFUSED].count = symd_refused(s);
	ret[FOLDD_LOSS_FILE_REFUSED].count = objects_refused_files(o)->count;
}

void parser_summarize(const struct objects *o, struct summary *s)
{
	const struct refused *files = objects_refused_files(o);
	const struct symd_refusal *r;

	s->n_refused_files = 0;
	while (s->n_refused_files < SUMMARY_FILES_MAX &&
	       (r = symd_refused_file(objects_symd(o), s->n_refused_files)))
		s->refused_files[s->n_refused_files++] = (struct summary_file){
			.path = r->path,
			.why = symd_reason_text(r->reason),
		};
	for (size_t i = 0; i < files->n && s->n_refused_files < SUMMARY_FILES_MAX; i++)
		s->refused_files[s->n_refused_files++] = (struct summary_file){
			.path = files->files[i].path,
			.why = files->files[i].why,
		};
}
