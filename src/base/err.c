/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include "err.h"

int err_set(struct err *e, int status, const char *fmt, ...)
{
	va_list ap;

	if (e->status)
		return -1;
	e->status = status;
	va_start(ap, fmt);
	(void)vsnprintf(e->what, sizeof(e->what), fmt, ap);
	va_end(ap);
	return -1;
}

int err_hint(struct err *e, const char *fmt, ...)
{
	va_list ap;

	if (e->hint[0])
		return -1;
	va_start(ap, fmt);
	(void)vsnprintf(e->hint, sizeof(e->hint), fmt, ap);
	va_end(ap);
	return -1;
}
