/* SPDX-License-Identifier: BSD-2-Clause */
/* The verbs that tell about foldd itself. */
#include <bpf/libbpf.h>
#include "cli.h"

#define ABOUT_BYTES_MAX 65536

static int print(int (*make)(struct buf *out))
{
	_cleanup_buf_ struct buf out;

	buf_init(&out, ABOUT_BYTES_MAX);
	if (make(&out) || stdout_write(out.data, out.len))
		return EXIT_RUNTIME;
	return EXIT_DONE;
}

static int make_version(struct buf *out)
{
	return buf_printf(out, "foldd %s (libbpf %u.%u)\n", FOLDD_VERSION, libbpf_major_version(),
			  libbpf_minor_version());
}

int verb_version(const struct options *o)
{
	(void)o;
	return print(make_version);
}

int verb_help(const struct options *o)
{
	(void)o;
	return print(options_help);
}

int verb_man(const struct options *o)
{
	(void)o;
	return print(options_man);
}
