/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Notes to the person, on stderr only. For cli/, daemon/ and the profiler's warnings; the rooms
 * below return -errno and do not log.
 */
#ifndef FOLDD_LOG_H
#define FOLDD_LOG_H

#include "cleanup.h"
#include "err.h"

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

void log_set_level(enum log_level level);
enum log_level log_level(void);

/* One line; a progress line that stands on the terminal is cleared first. */
void log_line(enum log_level level, const char *fmt, ...) __printf(2, 3);
#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* A line that the next one overwrites; nothing where stderr is no terminal or level < info. */
void log_progress(const char *fmt, ...) __printf(1, 2);

/* Print "foldd: what" and "  hint"; returns the status. */
int log_err(const struct err *e);

#endif
