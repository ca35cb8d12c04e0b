/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <unistd.h>
#include "worker.h"

int main(void)
{
	uint32_t layers;
	int err;

	/* Started by hand there is nobody to answer. */
	if (isatty(STDERR_FILENO)) {
		(void)fprintf(stderr, SYMD_NAME " is started by foldd, not by people.\n");
		return 2;
	}
	err = sandbox_enter(&layers);
	if (!err)
		err = serve(layers);
	/* Not exit: what runs at the end of a program wants more than the sandbox allows. */
	_exit(err ? 1 : 0);
}
