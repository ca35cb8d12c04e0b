/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "base/log.h"
#include "cli.h"
#include "probe/features.h"
#include "symd/symd.h"

#define DOCTOR_BYTES_MAX    65536
#define NAME_WIDTH_MAX      40
#define WORKER_FEATURES_MAX 3

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

static void set(struct feature *f, bool available, const char *why_not, const char *remedy)
{
	f->available = available;
	if (available)
		return;
	(void)snprintf(f->why_not, sizeof(f->why_not), "%s", why_not);
	(void)snprintf(f->remedy, sizeof(f->remedy), "%s", remedy);
}

static const char *worker_problem(int err)
{
	switch (err) {
	case -ENOENT:
		return "foldd-symd is neither beside foldd nor in its libexec directory";
	case -EPROTO:
		return "foldd-symd is of another version than foldd";
	case -EPIPE:
		return "foldd-symd ended before its sandbox was closed: seccomp may be missing";
	}
	return strerror(-err);
}

/* The worker that reads the programs' files, by starting one: what holds it in is what it says. */
static size_t worker_features(struct feature *list)
{
	_cleanup_(symd_free) struct symd *symd = NULL;
	int err = symd_new(&symd);

	list[0] = (struct feature){ .name = "worker in a seccomp sandbox",
				    .wanted_by = "reading programs' files: names, whole stacks",
				    .required = true,
				    .status = EXIT_RUNTIME };
	set(&list[0], !err, err ? worker_problem(err) : "",
	    "install foldd-symd of this version; use a kernel with CONFIG_SECCOMP_FILTER");
	if (err)
		return 1;
	list[1] = (struct feature){ .name = "worker without an identity",
				    .wanted_by = "a second wall around it: user nobody" };
	set(&list[1], symd_is_nobody(symd), "foldd may not change the worker's user",
	    "run foldd as root, or grant cap_setuid,cap_setgid");
	list[2] = (struct feature){ .name = "Landlock",
				    .wanted_by = "a third wall around it: no file system" };
	set(&list[2], symd_has_landlock(symd), "the kernel has no Landlock, or it is not enabled",
	    "nothing to do; or use Linux 5.13 or later with landlock in its lsm= list");
	return 3;
}

int verb_doctor(const struct options *o)
{
	struct err e = { 0 };
	_cleanup_buf_ struct buf out;
	struct feature worker[WORKER_FEATURES_MAX];
	const struct feature *list;
	size_t n = 0, n_worker;
	int width;

	(void)o;
	buf_init(&out, DOCTOR_BYTES_MAX);
	list = features_probe(&n);
	n_worker = worker_features(worker);
	width = name_width(list, n);
	(void)buf_printf(&out, "%-9s  %-*s  %s\n", "available", width, "feature", "wanted by");
	for (size_t i = 0; i < n; i++)
		add_feature(&out, &list[i], width);
	for (size_t i = 0; i < n_worker; i++)
		add_feature(&out, &worker[i], width);
	if (stdout_write(out.data, out.len))
		return EXIT_RUNTIME;
	if (features_check(&e))
		return log_err(&e);
	if (worker[0].available)
		return EXIT_DONE;
	err_set(&e, worker[0].status, "%s: not available (%s)", worker[0].name, worker[0].why_not);
	err_hint(&e, "%s", worker[0].remedy);
	return log_err(&e);
}
