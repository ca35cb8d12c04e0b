/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdbool.h>
#include "log.h"

static enum log_level threshold = LOG_LEVEL_INFO;
static bool progress_shown;

void log_set_level(enum log_level level)
{
	threshold = level;
}

enum log_level log_level(void)
{
	return threshold;
}

static void clear_progress(void)
{
	if (progress_shown)
		(void)fputs("\r\033[K", stderr);
	progress_shown = false;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level > threshold)
		return;
	clear_progress();
	(void)fputs(level <= LOG_LEVEL_ERROR     ? "foldd: "
		    : level == LOG_LEVEL_WARNING ? "foldd: warning: "
						 : "",
		    stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
}

void log_progress(const char *fmt, ...)
{
	va_list ap;

	if (threshold < LOG_LEVEL_INFO || !isatty(STDERR_FILENO))
		return;
	(void)fputs("\r\033[K", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fflush(stderr);
	progress_shown = true;
}

int log_err(const struct err *e)
{
	log_error("%s", e->what);
	if (e->hint[0]) {
		(void)fputs("  ", stderr);
		(void)fputs(e->hint, stderr);
		(void)fputc('\n', stderr);
	}
	return e->status;
}
