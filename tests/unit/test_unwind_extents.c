/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "unwind/extents.h"

#define SIZE 1000
#define LATE (EXTENTS_GRACE_NS + 1)

static void first_fit_and_grace(void **unused)
{
	_cleanup_(extents_free) struct extents *e = NULL;

	(void)unused;
	assert_int_equal(extents_new(SIZE, &e), 0);
	assert_int_equal(extents_take(e, 400, 1), 0);
	assert_int_equal(extents_take(e, 600, 1), 400);
	assert_int_equal(extents_take(e, 1, 1), EXTENTS_NONE);
	extents_give(e, 0, 1);
	assert_int_equal(extents_used(e), 600);
	/* a walk may still be reading it */
	assert_int_equal(extents_take(e, 400, EXTENTS_GRACE_NS), EXTENTS_NONE);
	assert_int_equal(extents_take(e, 401, LATE), EXTENTS_NONE);
	assert_int_equal(extents_take(e, 400, LATE), 0);
}

static void neighbours_join(void **unused)
{
	_cleanup_(extents_free) struct extents *e = NULL;

	(void)unused;
	assert_int_equal(extents_new(SIZE, &e), 0);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(extents_take(e, 100, 1), i * 100);
	for (uint32_t i = 0; i < 10; i += 2)
		extents_give(e, i * 100, 1);
	assert_int_equal(extents_take(e, 101, LATE), EXTENTS_NONE);
	for (uint32_t i = 1; i < 10; i += 2)
		extents_give(e, i * 100, 1);
	assert_int_equal(extents_take(e, SIZE, LATE), 0);
	assert_int_equal(extents_used(e), SIZE);
}

static void giving_twice_is_nothing(void **unused)
{
	_cleanup_(extents_free) struct extents *e = NULL;

	(void)unused;
	assert_int_equal(extents_new(SIZE, &e), 0);
	assert_int_equal(extents_take(e, 10, 1), 0);
	extents_give(e, 0, 1);
	extents_give(e, 0, 1);
	extents_give(e, 5, 1);
	assert_int_equal(extents_used(e), 0);
}

/* Random takes and gives against a plain map of who has what: no entry is ever given out twice. */
static void never_twice(void **unused)
{
	_cleanup_(extents_free) struct extents *e = NULL;
	uint32_t firsts[64], counts[64], n = 0, state = 12345;
	uint8_t owner[SIZE] = { 0 };
	uint64_t now = 1;

	(void)unused;
	assert_int_equal(extents_new(SIZE, &e), 0);
	for (int round = 0; round < 20000; round++) {
		state = state * 1103515245 + 12345;
		now += EXTENTS_GRACE_NS / 3;
		if (n < 64 && state >> 16 & 1) {
			uint32_t count = 1 + (state >> 20) % 60;
			uint32_t first = extents_take(e, count, now);

			if (first == EXTENTS_NONE)
				continue;
			assert_true(first + count <= SIZE);
			for (uint32_t i = 0; i < count; i++)
				assert_int_equal(owner[first + i]++, 0);
			firsts[n] = first;
			counts[n++] = count;
		} else if (n) {
			uint32_t k = (state >> 20) % n;

			memset(owner + firsts[k], 0, counts[k]);
			extents_give(e, firsts[k], now);
			n--;
			firsts[k] = firsts[n];
			counts[k] = counts[n];
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_fit_and_grace),
		cmocka_unit_test(neighbours_join),
		cmocka_unit_test(giving_twice_is_nothing),
		cmocka_unit_test(never_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
