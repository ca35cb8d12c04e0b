/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The text formats against hostile names. The names come from a stand-in for process/names.c that
 * gives what a test has put into `given`.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "export/escape.h"
#include "export/export.h"

#define GIVEN_MAX 1000

static struct {
	const char *text;
	size_t len;
	bool symbol;
} given[GIVEN_MAX];

static bool give(uint64_t i, struct buf *out)
{
	assert_true(i < GIVEN_MAX);
	(void)buf_add(out, given[i].text, given[i].len);
	return given[i].symbol;
}

bool names_object(struct names *n, uint32_t object, uint64_t offset, struct buf *out)
{
	(void)n, (void)object;
	return give(offset, out);
}

bool names_jit(struct names *n, uint32_t process_serial, uint64_t address, struct buf *out)
{
	(void)n, (void)process_serial;
	return give(address, out);
}

bool names_kernel(struct names *n, uint64_t address, struct buf *out)
{
	(void)n;
	return give(address, out);
}

static struct {
	uint64_t where;
	const char *text; /* NULL: no inlined functions */
	size_t len, n;
} given_inlines;

bool names_has_inlines(const struct names *n)
{
	(void)n;
	return given_inlines.text;
}

size_t names_inlines(struct names *n, uint32_t object, uint64_t offset, struct buf *out)
{
	(void)n, (void)object;
	if (offset != given_inlines.where)
		return 0;
	(void)buf_add(out, given_inlines.text, given_inlines.len);
	return given_inlines.n;
}

static bool utf8_ok(const unsigned char *s, size_t len)
{
	_cleanup_buf_ struct buf b;

	/* The strict decoder is tested by itself below. */
	buf_init(&b, len + 1);
	assert_int_equal(escape_utf8(&b, (const char *)s, len), 0);
	return b.len == len && !memcmp(b.data, s, len);
}

/* What FlameGraph's scripts take for a further column. */
static bool ends_in_number(const char *s, size_t len)
{
	size_t i = len;

	while (i && ((s[i - 1] >= '0' && s[i - 1] <= '9') || s[i - 1] == '.'))
		i--;
	return i < len && i && (s[i - 1] == ' ' || s[i - 1] == '\t');
}

static void check_frame(const char *s, size_t len)
{
	assert_true(len > 0);
	assert_true(s[0] != ' ' && s[len - 1] != ' ');
	assert_false(ends_in_number(s, len));
	assert_true(utf8_ok((const unsigned char *)s, len));
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		assert_true(c >= 0x20 && c != 0x7f && c != ';');
		assert_false(c == ' ' && s[i + 1] == ' ');
		assert_false(c == 0xc2 && (unsigned char)s[i + 1] < 0xa0); /* C1 */
	}
}

/* The grammar of one line, without its end; returns the value. */
static uint64_t check_line(const char *line, size_t len)
{
	const char *end = line + len, *value, *frame = line;
	uint64_t v = 0;

	assert_true(len < EXPORT_LINE_MAX);
	for (value = end; value > line && value[-1] != ' '; value--)
		;
	assert_true(value > line + 1 && value < end);
	for (const char *p = value; p < end; p++) {
		assert_true(*p >= '0' && *p <= '9');
		v = v * 10 + (uint64_t)(*p - '0');
	}
	assert_true(*value != '0');
	for (const char *p = line; p < value; p++)
		if (*p == ';' || p == value - 1) {
			check_frame(frame, (size_t)(p - frame));
			frame = p + 1;
		}
	return v;
}

/* All lines, their order and their number; returns the sum. */
static uint64_t check_folded(const struct buf *b, size_t *ret_lines)
{
	const char *p = b->data, *previous = NULL;
	size_t n = 0, len, previous_len = 0;
	uint64_t sum = 0;

	for (; *p; p += len + 1, n++) {
		len = strcspn(p, "\n");
		assert_true(p[len] == '\n');
		sum += check_line(p, len);
		if (previous) {
			int d = memcmp(previous, p, previous_len < len ? previous_len : len);

			assert_true(d < 0 || (!d && previous_len < len));
		}
		previous = p;
		previous_len = len;
	}
	assert_int_equal(p - b->data, b->len); /* no NUL inside */
	*ret_lines = n;
	return sum;
}

static void give_name(size_t i, const char *text, size_t len, bool symbol)
{
	given[i].text = text;
	given[i].len = len;
	given[i].symbol = symbol;
}

static uint32_t add_frame(struct fold *f, uint32_t type, uint32_t id, uint64_t where)
{
	const struct frame fr = { .type = type, .id = id, .where = where };

	return fold_frame(f, &fr);
}

static uint32_t add_text(struct fold *f, uint32_t type, const char *text)
{
	return add_frame(f, type, fold_text(f, text, strlen(text)), 0);
}

static void escaped(const char *name, size_t len, const char *want)
{
	_cleanup_buf_ struct buf b;

	buf_init(&b, 4096);
	assert_int_equal(escape_name(&b, name, len), 0);
	assert_string_equal(b.data, want);
}

#define ESCAPED(name, want) escaped(name, sizeof(name) - 1, want)

static void test_escape(void **state)
{
	(void)state;
	ESCAPED("main", "main");
	ESCAPED("", "[unknown]");
	ESCAPED(" \t\n ", "[unknown]");
	ESCAPED("a;b 3", "a:b_3");
	ESCAPED("worker 3", "worker_3");
	ESCAPED("worker 3.5", "worker_3.5");
	ESCAPED("worker 3.", "worker_3.");
	ESCAPED("worker 3.5.1", "worker 3.5.1");
	ESCAPED("worker .", "worker .");
	ESCAPED("worker 3a", "worker 3a");
	ESCAPED("1 2 3", "1 2_3");
	ESCAPED("42", "42");
	ESCAPED("  a \t\r\n b  ", "a b");
	ESCAPED("worker 3 ", "worker_3");
	ESCAPED("worker\n3", "worker_3");
	ESCAPED("\033[31mred\033[0m", "?[31mred?[0m");
	ESCAPED("a\0b\x7f", "a?b?");
	ESCAPED("\xc2\x9b"
		"31m",
		"?31m"); /* C1: CSI */
	ESCAPED("\xc2\xa0x\xc2\xa0"
		"3",
		"x_3"); /* no-break space, a blank to Perl */
	ESCAPED("\xe2\x80\xae"
		"txt",
		"?txt"); /* right-to-left override */
	ESCAPED("caf\xc3\xa9", "caf\xc3\xa9");
	ESCAPED("\xf0\x9f\x94\xa5", "\xf0\x9f\x94\xa5");
}

static void test_invalid_utf8(void **state)
{
	(void)state;
	ESCAPED("\xff\xfe", "??");
	ESCAPED("\x80", "?");
	ESCAPED("\xc0\xaf", "??");               /* overlong '/' */
	ESCAPED("\xe0\x80\xaf", "???");          /* overlong '/' */
	ESCAPED("\xe0\x9f\xbf", "???");          /* overlong U+07FF */
	ESCAPED("\xf0\x8f\xbf\xbf", "????");     /* overlong U+FFFF */
	ESCAPED("\xed\xa0\x80", "???");          /* surrogate */
	ESCAPED("\xed\x9f\xbf", "\xed\x9f\xbf"); /* the last one before them */
	ESCAPED("\xf4\x90\x80\x80", "????");     /* past U+10FFFF */
	ESCAPED("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
	ESCAPED("\xf8\x88\x80\x80\x80", "?????");
	ESCAPED("x\xc3", "x?"); /* cut off */
	ESCAPED("x\xe2\x82", "x??");
	ESCAPED("\xc3(", "?(");
}

static void test_long_names(void **state)
{
	char name[5000];
	_cleanup_buf_ struct buf b;

	(void)state;
	buf_init(&b, 4096);
	memset(name, 'x', sizeof(name));
	assert_int_equal(escape_name(&b, name, sizeof(name)), 0);
	assert_int_equal(b.len, ESCAPE_NAME_MAX);
	/* A character is not cut apart. */
	buf_clear(&b);
	memcpy(name + ESCAPE_NAME_MAX - 1, "\xc3\xa9", 2);
	assert_int_equal(escape_name(&b, name, sizeof(name)), 0);
	assert_int_equal(b.len, ESCAPE_NAME_MAX - 1);
	/* The cut must not make a number of the end, nor leave a blank there. */
	buf_clear(&b);
	memcpy(name + ESCAPE_NAME_MAX - 3, " 12345", 6);
	assert_int_equal(escape_name(&b, name, sizeof(name)), 0);
	assert_string_equal(b.data + b.len - 3, "_12");
	buf_clear(&b);
	memcpy(name + ESCAPE_NAME_MAX - 1, " y", 2);
	assert_int_equal(escape_name(&b, name, ESCAPE_NAME_MAX + 1), 0);
	check_frame(b.data, b.len);
}

static const struct export_options us = { .unit_ns = 1000, .top = 10 };

static void folded(const struct fold *f, struct buf *out, struct export_names *ret)
{
	buf_init(out, 1U << 26);
	assert_int_equal(export_folded(f, FOLD_OFFCPU, NULL, &us, out, ret), 0);
}

static void add(struct fold *f, const uint32_t *stack, size_t n, double weight)
{
	const struct fold_weight w = { weight, 0, 1 };

	assert_int_equal(fold_add(f, FOLD_OFFCPU, stack, n, &w), 0);
}

static void test_frames(void **state)
{
	_cleanup_(fold_free) struct fold *f = NULL;
	_cleanup_buf_ struct buf out;
	struct export_names naming;
	uint32_t stack[9];

	(void)state;
	assert_int_equal(fold_new(&f), 0);
	give_name(0, "main", 4, true);
	give_name(1, "[libfoo.so+0x1234]", 18, false);
	give_name(2, "LazyCompile:~f 3", 16, true);
	give_name(3, "futex_wait", 10, true);
	give_name(4, "[jit]", 5, false);
	stack[0] = add_text(f, FRAME_TEXT, "my app 1");
	stack[1] = add_text(f, FRAME_MARKER, "[stack cut: too deep]");
	stack[2] = add_frame(f, FRAME_USER, 7, 0);
	stack[3] = add_frame(f, FRAME_USER, 7, 1);
	stack[4] = add_frame(f, FRAME_JIT, 7, 2);
	stack[5] = add_frame(f, FRAME_JIT, 7, 4);
	stack[6] = add_frame(f, FRAME_ADDRESS, 0, 99);
	stack[7] = add_frame(f, FRAME_KERNEL, 0, 3);
	stack[8] = add_frame(f, FRAME_REASON, 5, 0);
	add(f, stack, 9, 1499.0);
	folded(f, &out, &naming);
	assert_string_equal(
		out.data, "my app_1;[stack cut: too deep];main;[libfoo.so+0x1234];"
			  "LazyCompile:~f_3_[j];[jit];[unknown];futex_wait_[k];[futex mutex] 1\n");
	assert_true(naming.user_weight == 1499.0);
	assert_true(naming.unnamed_weight == 1499.0); /* the leaf is the bare address */
}

/* Between the function that holds them and its callee, the outermost first. */
static void test_inlined(void **state)
{
	_cleanup_(fold_free) struct fold *f = NULL;
	_cleanup_buf_ struct buf out;
	struct export_names naming;
	uint32_t stack[4];

	(void)state;
	assert_int_equal(fold_new(&f), 0);
	give_name(0, "main", 4, true);
	give_name(1, "outer", 5, true);
	give_name(2, "sleep", 5, true);
	stack[0] = add_text(f, FRAME_TEXT, "p");
	for (uint32_t i = 0; i < 3; i++)
		stack[i + 1] = add_frame(f, FRAME_USER, 3 - i, i);
	add(f, stack, 4, 1000);
	given_inlines.where = 1;
	given_inlines.text = "two;2\0one\0";
	given_inlines.len = 10;
	given_inlines.n = 2;
	folded(f, &out, &naming);
	given_inlines.text = NULL;
	assert_string_equal(out.data, "p;main;outer;one_[i];two:2_[i];sleep 1\n");
}

static void test_merge_and_round(void **state)
{
	_cleanup_(fold_free) struct fold *f = NULL;
	_cleanup_buf_ struct buf out;
	struct export_names naming;
	uint32_t root, stack[2];
	size_t lines;

	(void)state;
	assert_int_equal(fold_new(&f), 0);
	root = add_text(f, FRAME_TEXT, "a");
	/* Ten places in one function read the same; 0.4 us each must not be lost to rounding. */
	for (uint64_t i = 0; i < 10; i++) {
		give_name(i, "same", 4, true);
		stack[0] = root;
		stack[1] = add_frame(f, FRAME_USER, 1, i);
		add(f, stack, 2, 400.0);
	}
	add(f, &root, 1, 499.0); /* rounds to nothing */
	folded(f, &out, &naming);
	assert_string_equal(out.data, "a;same 4\n");
	assert_int_equal(check_folded(&out, &lines), 4);
	assert_true(naming.user_weight == 4000.0 && naming.unnamed_weight == 0);
}

/* The order of "LC_ALL=C sort", where blank, ';' and digits meet. */
static void test_order(void **state)
{
	static const char *const roots[] = {
		"a",  "a b",       "a 10 x", "a 5 x", "a!",   "a:",
		"a0", "a\xc3\xa9", "A",      "ab",    "a 1a", "a 55 y"
	};
	_cleanup_(fold_free) struct fold *f = NULL;
	_cleanup_buf_ struct buf out;
	struct export_names naming;
	uint32_t stack[2];
	size_t lines;

	(void)state;
	assert_int_equal(fold_new(&f), 0);
	for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
		stack[0] = add_text(f, FRAME_TEXT, roots[i]);
		stack[1] = add_text(f, FRAME_TEXT, "leaf");
		add(f, stack, 1, 5000.0);
		add(f, stack, 2, 1000.0);
		stack[1] = add_text(f, FRAME_TEXT, "le");
		add(f, stack, 2, 123000.0);
	}
	folded(f, &out, &naming);
	assert_int_equal(check_folded(&out, &lines), 12 * 129);
	assert_int_equal(lines, 36);
}

static void test_hostile(void **state)
{
	static const char *const names[] = {
		"a;b 3",
		"\033]0;title\007",
		"line\nbreak 7",
		"\xff\xfe",
		"\xc0\x80",
		"\xc2\x85",
		"worker 3",
		"",
		"   ",
		"\t1",
		"; ; ;",
		"a\r\nb;c 100",
		"x 1.5",
		"_[k]",
		"[futex mutex] 9",
	};
	static char big[5000];
	_cleanup_(fold_free) struct fold *f = NULL;
	_cleanup_buf_ struct buf out;
	struct export_names naming;
	size_t lines, n = ARRAY_SIZE(names);
	uint32_t stack[3];

	(void)state;
	memset(big, 0xe2, sizeof(big));
	assert_int_equal(fold_new(&f), 0);
	for (size_t i = 0; i < n; i++)
		give_name(i, names[i], strlen(names[i]), true);
	give_name(n++, big, sizeof(big), true);
	for (size_t i = 0; i < n; i++) {
		stack[0] = add_text(f, FRAME_TEXT, names[i % ARRAY_SIZE(names)]);
		stack[1] = add_frame(f, FRAME_JIT, 1, i);
		stack[2] = add_frame(f, FRAME_USER, 1, i); /* the leaf is the tender spot */
		add(f, stack, 3, 1000.0);
		add(f, stack, 2, 1000.0);
		add(f, stack, 1, 1000.0);
	}
	folded(f, &out, &naming);
	assert_int_equal(check_folded(&out, &lines), 3 * n);
}

/* 400 frames of 1 KB are six times the longest line. */
static void test_line_limit(void **state)
{
	static char text[FOLD_DEPTH_MAX][ESCAPE_NAME_MAX];
	_cleanup_(fold_free) struct fold *f = NULL;
	_cleanup_buf_ struct buf out;
	struct export_names naming;
	uint32_t stack[FOLD_DEPTH_MAX];
	const char *marker;
	size_t lines;

	(void)state;
	assert_int_equal(fold_new(&f), 0);
	for (size_t i = 0; i < FOLD_DEPTH_MAX; i++) {
		memset(text[i], 'f', ESCAPE_NAME_MAX);
		(void)snprintf(text[i], 8, "f%zu", i);
		text[i][strlen(text[i])] = '_';
		give_name(i, text[i], ESCAPE_NAME_MAX, true);
		stack[i] = add_frame(f, FRAME_USER, 1, i);
	}
	stack[FOLD_DEPTH_MAX - 1] = add_frame(f, FRAME_REASON, 5, 0);
	add(f, stack, FOLD_DEPTH_MAX, 1e18);
	folded(f, &out, &naming);
	assert_int_equal(check_folded(&out, &lines), 1000000000000000ULL);
	assert_int_equal(lines, 1);
	assert_true(out.len >
		    EXPORT_LINE_MAX - 3 * ESCAPE_NAME_MAX); /* and no shorter than need be */
	marker = strstr(out.data, ";[frames cut: line too long];");
	assert_non_null(marker);
	assert_true(marker - out.data > EXPORT_LINE_MAX / 3);
	assert_int_equal(strncmp(out.data, "f0_", 3), 0);
	assert_non_null(strstr(marker, ";f398_"));
	assert_non_null(strstr(marker, ";[futex mutex] 1000000000000000\n"));
}

static void test_empty(void **state)
{
	_cleanup_(fold_free) struct fold *f = NULL;
	_cleanup_buf_ struct buf out;
	struct export_names naming;

	(void)state;
	assert_int_equal(fold_new(&f), 0);
	folded(f, &out, &naming);
	assert_string_equal(out.data, "");
	assert_int_equal(export_top(f, FOLD_CPU, NULL, &us, &out), 0);
	assert_string_equal(out.data, "");
}

static void test_buffer_limit(void **state)
{
	_cleanup_(fold_free) struct fold *f = NULL;
	_cleanup_buf_ struct buf out;
	struct export_names naming = { .user_weight = 7 };
	uint32_t root;

	(void)state;
	assert_int_equal(fold_new(&f), 0);
	root = add_text(f, FRAME_TEXT, "longer than that");
	add(f, &root, 1, 1e6);
	buf_init(&out, 8);
	assert_true(export_folded(f, FOLD_OFFCPU, NULL, &us, &out, &naming) < 0);
	assert_true(naming.user_weight == 7); /* untouched */
}

static void test_top(void **state)
{
	_cleanup_(fold_free) struct fold *f = NULL;
	_cleanup_buf_ struct buf out;
	uint32_t stack[60];
	size_t lines = 0;

	(void)state;
	assert_int_equal(fold_new(&f), 0);
	stack[0] = add_text(f, FRAME_TEXT, "app");
	for (uint64_t i = 1; i < 59; i++) {
		static char text[60][8];

		(void)snprintf(text[i], sizeof(text[i]), "f%d", (int)i);
		give_name(i, text[i], strlen(text[i]), true);
		stack[i] = add_frame(f, FRAME_USER, 1, i);
	}
	stack[59] = add_frame(f, FRAME_REASON, 5, 0);
	add(f, stack, 60, 1.5e9);
	add(f, stack, 2, 0.5e9);
	buf_init(&out, 65536);
	assert_int_equal(export_top(f, FOLD_OFFCPU, NULL, &us, &out), 0);
	assert_non_null(strstr(out.data, "1.5 s  75.00%  app\n"));
	assert_non_null(strstr(out.data, "[futex mutex]\n"));
	assert_non_null(strstr(out.data, "... 36 more\n"));
	assert_non_null(strstr(out.data, "500 ms  25.00%  app\n"));
	assert_true(strstr(out.data, "f58\n") < strstr(out.data, " f1\n"));
	for (const char *p = out.data; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 1 + 24 + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),       cmocka_unit_test(test_invalid_utf8),
		cmocka_unit_test(test_inlined),      cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_frames),       cmocka_unit_test(test_merge_and_round),
		cmocka_unit_test(test_order),        cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_line_limit),   cmocka_unit_test(test_empty),
		cmocka_unit_test(test_buffer_limit), cmocka_unit_test(test_top),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
