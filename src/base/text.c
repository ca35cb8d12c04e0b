/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include "text.h"

static int digit(char c, unsigned int base)
{
	int v = -1;

	if (c >= '0' && c <= '9')
		v = c - '0';
	else if (c >= 'a' && c <= 'f')
		v = c - 'a' + 10;
	else if (c >= 'A' && c <= 'F')
		v = c - 'A' + 10;
	return v >= 0 && (unsigned int)v < base ? v : -1;
}

int text_scan_u64(const char **p, const char *end, unsigned int base, uint64_t *ret)
{
	const char *s = *p;
	uint64_t v = 0;
	int d;

	for (; s < end && (d = digit(*s, base)) >= 0; s++)
		if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v))
			return -ERANGE;
	if (s == *p)
		return -EINVAL;
	*p = s;
	*ret = v;
	return 0;
}

int text_parse_u64(const char *s, uint64_t *ret)
{
	const char *p = s, *end = s + strlen(s);
	uint64_t v;
	int err;

	err = text_scan_u64(&p, end, 10, &v);
	if (err)
		return err;
	if (p != end)
		return -EINVAL;
	*ret = v;
	return 0;
}

int text_parse_duration(const char *s, uint64_t *ret_ns)
{
	static const struct {
		const char *suffix;
		uint64_t ns;
	} units[] = {
		{ "ns", 1 },
		{ "us", 1000 },
		{ "ms", 1000000 },
		{ "s", 1000000000 },
		{ "m", 60ULL * 1000000000 },
		{ "h", 3600ULL * 1000000000 },
	};
	const char *p = s, *end = s + strlen(s);
	uint64_t whole, fraction = 0, scale = 1, v, part;
	int err;

	err = text_scan_u64(&p, end, 10, &whole);
	if (err)
		return err;
	if (*p == '.') {
		for (p++; digit(*p, 10) >= 0 && scale < 1000000000; p++, scale *= 10)
			fraction = fraction * 10 + (uint64_t)digit(*p, 10);
		if (scale == 1)
			return -EINVAL;
	}
	if (!*p)
		p = "s";
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(p, units[i].suffix))
			continue;
		/* fraction < scale <= 10^9 and a unit is at most 3.6 * 10^12 ns */
		part = (uint64_t)((double)fraction / (double)scale * (double)units[i].ns);
		if (__builtin_mul_overflow(whole, units[i].ns, &v) ||
		    __builtin_add_overflow(v, part, &v))
			return -ERANGE;
		*ret_ns = v;
		return 0;
	}
	return -EINVAL;
}

char *text_format_ns(uint64_t ns, char *out, size_t size)
{
	double v = (double)ns;

	if (ns < 1000)
		(void)snprintf(out, size, "%.0f ns", v);
	else if (ns < 1000000)
		(void)snprintf(out, size, "%.3g us", v / 1e3);
	else if (ns < 1000000000)
		(void)snprintf(out, size, "%.3g ms", v / 1e6);
	else
		(void)snprintf(out, size, ns < 1000000000000 ? "%.4g s" : "%.0f s", v / 1e9);
	return out;
}
