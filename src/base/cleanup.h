/* SPDX-License-Identifier: BSD-2-Clause */
/* Scope-bound release of local resources, after systemd's _cleanup_ idiom. */
#ifndef FOLDD_CLEANUP_H
#define FOLDD_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Defines cleanup_FN(), to be used as _cleanup_(FN) on a local of type TYPE. FN accepts NULL. */
#define DEFINE_CLEANUP(type, fn)                                                                   \
	static inline void cleanup_##fn(type *p)                                                   \
	{                                                                                          \
		if (*p)                                                                            \
			(void)fn(*p);                                                              \
	}

#define _cleanup_(fn) __attribute__((__cleanup__(cleanup_##fn)))

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

DEFINE_CLEANUP(FILE *, fclose)
DEFINE_CLEANUP(DIR *, closedir)

#define _cleanup_free_     _cleanup_(free)
#define _cleanup_close_    _cleanup_(close)
#define _cleanup_fclose_   _cleanup_(fclose)
#define _cleanup_closedir_ _cleanup_(closedir)

/* Hand a local's value over, so that its cleanup does nothing. */
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) *_p = &(p), _v = *_p;                                                \
		*_p = NULL;                                                                        \
		_v;                                                                                \
	})

#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int *_p = &(fd), _v = *_p;                                                         \
		*_p = -1;                                                                          \
		_v;                                                                                \
	})

#define __must_check        __attribute__((__warn_unused_result__))
#define __printf(fmt, args) __attribute__((__format__(__printf__, fmt, args)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
