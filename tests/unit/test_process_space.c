/* SPDX-License-Identifier: BSD-2-Clause */
/* Overlap replacement in a space, by cases and against a model of single pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "process/space.h"

#define PAGES 64

static int add(struct space *s, uint64_t start, uint64_t end, uint32_t object, bool *replaced)
{
	const struct mapping m = { .start = start, .end = end, .object = object, .made_ns = 5 };

	*replaced = false;
	return space_add(s, &m, PAGES, replaced);
}

static uint32_t object_at(const struct space *s, uint64_t address)
{
	const struct mapping *m = space_find(s->mappings, s->count, address);

	return m ? m->object : 0;
}

static void test_cut(void **state)
{
	struct space s = { 0 };
	bool replaced;

	(void)state;
	assert_int_equal(add(&s, 10, 20, 1, &replaced), 1);
	assert_false(replaced);
	assert_int_equal(add(&s, 10, 20, 1, &replaced), 0);
	assert_int_equal(add(&s, 12, 15, 1, &replaced), 0);
	assert_int_equal(add(&s, 13, 16, 2, &replaced), 1);
	assert_true(replaced);
	assert_int_equal(s.count, 3);
	assert_int_equal(object_at(&s, 9), 0);
	assert_int_equal(object_at(&s, 10), 1);
	assert_int_equal(object_at(&s, 12), 1);
	assert_int_equal(object_at(&s, 13), 2);
	assert_int_equal(object_at(&s, 15), 2);
	assert_int_equal(object_at(&s, 16), 1);
	assert_int_equal(object_at(&s, 19), 1);
	assert_int_equal(object_at(&s, 20), 0);
	assert_int_equal(add(&s, 0, 100, 3, &replaced), 1);
	assert_true(replaced);
	assert_int_equal(s.count, 1);
	space_release(&s);
}

static void test_join(void **state)
{
	struct space s = { 0 };
	bool replaced;

	(void)state;
	assert_int_equal(add(&s, 10, 20, 1, &replaced), 1);
	assert_int_equal(add(&s, 30, 40, 1, &replaced), 1);
	assert_int_equal(add(&s, 20, 25, 1, &replaced), 1);
	assert_int_equal(s.count, 2);
	assert_int_equal(add(&s, 24, 30, 1, &replaced), 1);
	assert_false(replaced);
	assert_int_equal(s.count, 1);
	assert_int_equal(s.mappings[0].start, 10);
	assert_int_equal(s.mappings[0].end, 40);
	space_release(&s);
}

static void test_limit(void **state)
{
	struct space s = { 0 };
	bool replaced = false;
	struct mapping m = { .start = 0, .end = 10, .object = 1 };

	(void)state;
	assert_int_equal(space_add(&s, &m, 1, &replaced), 1);
	m = (struct mapping){ .start = 20, .end = 30, .object = 1 };
	assert_int_equal(space_add(&s, &m, 1, &replaced), -ENOSPC);
	m = (struct mapping){ .start = 3, .end = 5, .object = 2 };
	assert_int_equal(space_add(&s, &m, 1, &replaced), -ENOSPC);
	assert_false(replaced);
	m = (struct mapping){ .start = 0, .end = 10, .object = 2 };
	assert_int_equal(space_add(&s, &m, 1, &replaced), 1);
	assert_true(replaced);
	assert_int_equal(s.count, 1);
	space_release(&s);
}

static void check_against(const struct space *s, const uint32_t *pages)
{
	for (size_t i = 0; i < s->count; i++) {
		assert_true(s->mappings[i].start < s->mappings[i].end);
		if (i)
			assert_true(s->mappings[i - 1].end <= s->mappings[i].start);
	}
	for (uint64_t i = 0; i < PAGES; i++)
		assert_int_equal(object_at(s, i), pages[i]);
}

static void test_model(void **state)
{
	uint64_t random = 0x9e3779b97f4a7c15;

	(void)state;
	for (int round = 0; round < 300; round++) {
		uint32_t pages[PAGES] = { 0 };
		struct space s = { 0 };

		for (int step = 0; step < 60; step++) {
			uint64_t start, end;
			uint32_t object;
			bool replaced, expected = false;

			random = random * 6364136223846793005 + 1442695040888963407;
			start = (random >> 33) % PAGES;
			end = start + 1 + (random >> 40) % (PAGES - start);
			object = 1 + (random >> 50) % 3;
			for (uint64_t i = start; i < end; i++) {
				expected |= pages[i] && pages[i] != object;
				pages[i] = object;
			}
			assert_true(add(&s, start, end, object, &replaced) >= 0);
			assert_int_equal(replaced, expected);
			check_against(&s, pages);
		}
		space_release(&s);
	}
}

static void test_update(void **state)
{
	struct space s = { 0 }, found = { 0 };
	bool replaced;
	struct mapping m = { .start = 10, .end = 20, .object = 1 };

	(void)state;
	assert_int_equal(add(&s, 10, 20, 1, &replaced), 1);
	assert_int_equal(add(&s, 30, 40, 2, &replaced), 1);
	assert_int_equal(space_copy(&found, &s), 0);
	replaced = false;
	assert_false(space_update(&s, &found, &replaced));
	assert_false(replaced);
	/* one is gone, which is a change and nothing more; the other keeps its time */
	assert_int_equal(space_add(&found, &m, PAGES, &replaced), 1);
	assert_true(space_update(&s, &found, &replaced));
	assert_false(replaced);
	assert_int_equal(s.count, 1);
	assert_int_equal(s.mappings[0].made_ns, 5);
	m.object = 7;
	assert_int_equal(space_add(&found, &m, PAGES, &replaced), 1);
	assert_true(space_update(&s, &found, &replaced));
	assert_true(replaced);
	assert_true(space_update(&s, &found, &replaced));
	assert_int_equal(s.count, 0);
	space_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),    cmocka_unit_test(test_join),
		cmocka_unit_test(test_limit),  cmocka_unit_test(test_model),
		cmocka_unit_test(test_update),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
