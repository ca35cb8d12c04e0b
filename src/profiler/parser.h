/* SPDX-License-Identifier: BSD-2-Clause */
/* The process that reads the targets' files, as a recording sees it: starting it, its losses. */
#ifndef FOLDD_PROFILER_PARSER_H
#define FOLDD_PROFILER_PARSER_H

#include "base/err.h"
#include "export/summary.h"
#include "process/objects.h"

/* The registry of files, which brings that process. 0, or -1 with *e. */
int parser_open(struct objects **ret, struct err *e);
/* What it has cost so far; ret has FOLDD_LOSS_MAX entries. */
void parser_losses(const struct objects *o, struct foldd_loss_count *ret);
/* The names of the files that are not read any more; they live as long as the registry. */
void parser_summarize(const struct objects *o, struct summary *s);

#endif
