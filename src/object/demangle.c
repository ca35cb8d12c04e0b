/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libiberty bounds its recursion but not its output: a name of a hundred bytes whose back
 * references double at each step prints for years. Its callback has no way to say stop, so we
 * leave by longjmp. That leaks nothing: all that it holds while it prints lies on the stack, with
 * the exception of a decoded Punycode identifier, where we do not jump.
 */
#include <setjmp.h>
#include <stdbool.h>
#include <string.h>
#include <libiberty/demangle.h>
#undef ARRAY_SIZE /* libiberty brings its own */
#include "base/buf.h"
#include "object.h"

#define DEMANGLE_OPTIONS (DMGL_PARAMS | DMGL_ANSI | DMGL_AUTO) /* the recursion limit stays on */

struct output {
	struct buf text;
	jmp_buf full;
};

typedef int (*demangle_fn)(const char *name, int options, demangle_callbackref add, void *ctx);

/* Only decoded Punycode has bytes that are not ASCII. */
static bool is_ascii(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)data[i] >= 0x80)
			return false;
	return true;
}

static void add(const char *data, size_t len, void *ctx)
{
	struct output *o = ctx;

	if (buf_add(&o->text, data, len) && is_ascii(data, len))
		longjmp(o->full, 1);
}

/* Apart from its caller, so that no local of ours is live across the jump. */
static bool demangle_into(struct output *o, const char *name, demangle_fn fn)
{
	buf_clear(&o->text);
	if (setjmp(o->full))
		return false;
	return fn(name, DEMANGLE_OPTIONS, add, o) && !o->text.error && o->text.len;
}

char *object_demangle(const char *name)
{
	struct output o;
	char *result = NULL;

	if (!strncmp(name, "__Z", 3))
		name++;
	if (strncmp(name, "_Z", 2) && strncmp(name, "_R", 2))
		return NULL;
	if (strnlen(name, OBJECT_NAME_MAX + 1) > OBJECT_NAME_MAX)
		return NULL;
	buf_init(&o.text, OBJECT_DEMANGLED_MAX);
	/* Rust first: its old mangling is C++'s with a hash at the end, which only it strips. */
	if (demangle_into(&o, name, rust_demangle_callback) ||
	    demangle_into(&o, name, cplus_demangle_v3_callback))
		result = strdup(o.text.data);
	buf_release(&o.text);
	return result;
}
