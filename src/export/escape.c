/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "escape.h"

/*
 * Length of the character at s, or 0 where the bytes are no UTF-8: overlong forms, surrogates,
 * numbers past U+10FFFF and characters cut off by the end included (table 3-7 of Unicode).
 */
static size_t utf8_char(const uint8_t *s, size_t len, uint32_t *ret_char)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c = s[0];
	size_t n;

	if (c < 0x80)
		n = 1;
	else if (c >= 0xc2 && c < 0xe0)
		n = 2, c &= 0x1f;
	else if (c >= 0xe0 && c < 0xf0)
		n = 3, c &= 0x0f;
	else if (c >= 0xf0 && c < 0xf5)
		n = 4, c &= 0x07;
	else
		return 0;
	if (n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*ret_char = c;
	return n;
}

/* Perl's \s takes the wide blanks and line separators too, so none may stay in a name. */
static bool is_blank(uint32_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
	       c == 0x205f || c == 0x3000;
}

/* Control characters, and those that turn the direction of the text that follows. */
static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f ||
	       (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* The blank before a number at the end ("3", "3.", "3.5"), or NULL. */
static char *second_column(char *name, size_t len)
{
	size_t i = len;
	bool dot = false, digit = false;

	for (; i && name[i - 1] != ' '; i--) {
		char c = name[i - 1];

		digit = c >= '0' && c <= '9';
		if (!digit && (c != '.' || dot))
			return NULL;
		dot |= c == '.';
	}
	return i && digit ? name + i - 1 : NULL;
}

int escape_name(struct buf *out, const char *name, size_t len)
{
	char text[ESCAPE_NAME_MAX];
	const uint8_t *s = (const uint8_t *)name, *end = s + len;
	bool blank = false;
	size_t n = 0, step;
	char *column;

	for (; s < end; s += step) {
		uint32_t c = 0;
		size_t size = utf8_char(s, (size_t)(end - s), &c);
		char byte = size ? (char)c : '?';

		step = size ? size : 1;
		if (size && is_blank(c)) {
			blank = n > 0;
			continue;
		}
		if (!size || is_control(c) || c == ';') {
			byte = c == ';' ? ':' : '?';
			size = 1;
		}
		if (n + blank + size > sizeof(text))
			break;
		if (blank)
			text[n++] = ' ';
		blank = false;
		if (size == 1)
			text[n] = byte;
		else
			memcpy(text + n, s, size);
		n += size;
	}
	if (!n)
		return buf_adds(out, "[unknown]");
	column = second_column(text, n);
	if (column)
		*column = '_';
	return buf_add(out, text, n);
}

int escape_utf8(struct buf *out, const char *text, size_t len)
{
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		uint32_t c;

		n = utf8_char((const uint8_t *)text + i, len - i, &c);
		if (n)
			(void)buf_add(out, text + i, n);
		else
			n = 1, (void)buf_addc(out, '?');
	}
	return out->error;
}
