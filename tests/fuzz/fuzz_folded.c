// SPDX-License-Identifier: BSD-2-Clause
/* Whatever a name is, what is printed for it is one frame of a folded stack. */
#include "export/escape.h"
#include "fuzz.h"

static void check_frame(const char *s, size_t len)
{
	size_t digits = len;

	MUST(len && len <= ESCAPE_NAME_MAX && s[0] != ' ' && s[len - 1] != ' ');
	for (size_t i = 0; i < len; i++)
		MUST((unsigned char)s[i] >= ' ' && s[i] != ';' && s[i] != 0x7f);
	while (digits && s[digits - 1] >= '0' && s[digits - 1] <= '9')
		digits--;
	MUST(digits == len || !digits || s[digits - 1] != ' ');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf name, again, utf8;

	buf_init(&name, 1 << 20);
	buf_init(&again, 1 << 20);
	buf_init(&utf8, 1 << 24);
	if (escape_name(&name, (const char *)data, size))
		return 0;
	check_frame(name.data, name.len);
	/* what has been escaped is not changed by it */
	MUST(!escape_name(&again, name.data, name.len));
	MUST(again.len == name.len && !memcmp(again.data, name.data, name.len));
	(void)escape_utf8(&utf8, (const char *)data, size);
	return 0;
}
