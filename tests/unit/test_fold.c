/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include "base/table.h"
#include "fold/fold.h"
#include "fold/weight.h"

static struct fold *make(void)
{
	struct fold *f = NULL;

	assert_int_equal(fold_new(&f), 0);
	return f;
}

static uint32_t frame(struct fold *f, uint32_t type, uint32_t id, uint64_t where)
{
	const struct frame fr = { .type = type, .id = id, .where = where };
	uint32_t i = fold_frame(f, &fr);

	assert_int_not_equal(i, TABLE_NONE);
	return i;
}

static void test_interning(void **state)
{
	struct fold *f = make();
	uint32_t a = fold_text(f, "a", 1), b = fold_text(f, "ab", 2), nul = fold_text(f, "a\0b", 3);
	char longer[FOLD_TEXT_LEN_MAX + 10];
	size_t len;

	(void)state;
	assert_int_equal(fold_text(f, "ab", 2), b);
	assert_int_not_equal(a, b);
	assert_int_not_equal(nul, a);
	assert_memory_equal(fold_get_text(f, nul, &len), "a\0b", 4);
	assert_int_equal(len, 3);
	assert_int_equal(fold_text(f, NULL, 0), fold_text(f, "", 0));
	memset(longer, 'x', sizeof(longer));
	(void)fold_get_text(f, fold_text(f, longer, sizeof(longer)), &len);
	assert_int_equal(len, FOLD_TEXT_LEN_MAX);

	a = frame(f, FRAME_USER, 1, 2);
	assert_int_equal(frame(f, FRAME_USER, 1, 2), a);
	assert_int_not_equal(frame(f, FRAME_JIT, 1, 2), a);
	assert_int_not_equal(frame(f, FRAME_USER, 2, 2), a);
	assert_int_not_equal(frame(f, FRAME_USER, 1, 3), a);
	assert_int_equal(fold_get(f, a)->where, 2);
	assert_true(a < fold_frames(f));
	fold_free(f);
}

struct sum {
	size_t stacks;
	double weight;
	uint64_t samples;
};

static void add_up(void *ctx, const uint32_t *frames, size_t n, const struct fold_weight *w)
{
	struct sum *s = ctx;

	(void)frames;
	assert_true(n > 0);
	s->stacks++;
	s->weight += w->weight;
	s->samples += w->samples;
}

static void test_values_are_apart(void **state)
{
	const struct fold_weight w = { 2.5, 1, 1 };
	struct fold *f = make();
	uint32_t stack[] = { frame(f, FRAME_USER, 1, 1), frame(f, FRAME_USER, 1, 2) };
	struct sum off = { 0 }, cpu = { 0 };

	(void)state;
	assert_int_equal(fold_add(f, FOLD_OFFCPU, stack, 2, &w), 0);
	assert_int_equal(fold_add(f, FOLD_OFFCPU, stack, 2, &w), 0);
	assert_int_equal(fold_add(f, FOLD_OFFCPU, stack, 1, &w), 0);
	assert_int_equal(fold_add(f, FOLD_CPU, stack, 2, &w), 0);
	fold_each(f, FOLD_OFFCPU, add_up, &off);
	fold_each(f, FOLD_CPU, add_up, &cpu);
	assert_int_equal(off.stacks, 2);
	assert_true(off.weight == 7.5);
	assert_int_equal(off.samples, 3);
	assert_int_equal(cpu.stacks, 1);
	assert_true(fold_total(f, FOLD_OFFCPU).variance == 3);
	assert_int_equal(fold_total(f, FOLD_CPU).samples, 1);
	fold_free(f);
}

static void test_bad_stacks(void **state)
{
	const struct fold_weight w = { 1, 0, 1 };
	uint32_t stack[FOLD_DEPTH_MAX + 1] = { 0 }, unknown = TABLE_NONE;
	struct fold *f = make();
	struct sum s = { 0 };

	(void)state;
	assert_int_equal(fold_add(f, FOLD_CPU, stack, 0, &w), -EINVAL);
	assert_int_equal(fold_add(f, FOLD_CPU, stack, FOLD_DEPTH_MAX + 1, &w), -EINVAL);
	assert_int_equal(fold_total(f, FOLD_CPU).samples, 0);
	assert_int_equal(fold_add(f, FOLD_CPU, stack, FOLD_DEPTH_MAX, &w), 0);
	/* A frame that could not be interned keeps its weight. */
	assert_int_equal(fold_add(f, FOLD_CPU, &unknown, 1, &w), -ENOSPC);
	fold_each(f, FOLD_CPU, add_up, &s);
	assert_int_equal(s.stacks, 2);
	assert_int_equal(s.samples, 2);
	fold_free(f);
}

static void find_full(void *ctx, const uint32_t *frames, size_t n, const struct fold_weight *w)
{
	struct fold *f = ((void **)ctx)[0];
	const struct frame *fr = fold_get(f, frames[0]);
	size_t len;

	if (n == 1 && fr->type == FRAME_MARKER) {
		assert_string_equal(fold_get_text(f, fr->id, &len), "[stacks table full]");
		*(double *)((void **)ctx)[1] = w->weight;
	}
}

/* A million stacks fit, the next ones keep their weight under the marker. */
static void test_quota(void **state)
{
	const struct fold_weight w = { 1, 0, 1 };
	struct fold *f = make();
	double full = 0;
	void *ctx[] = { f, &full };
	uint32_t frames[1000];

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		frames[i] = frame(f, FRAME_KERNEL, 0, i);
	for (uint32_t i = 0; i < FOLD_STACKS_MAX + 5; i++) {
		uint32_t stack[32];

		for (uint32_t k = 0; k < 29; k++)
			stack[k] = frames[k];
		stack[29] = frames[i % 100];
		stack[30] = frames[i / 100 % 1000];
		stack[31] = frames[i / 100000];
		assert_int_equal(fold_add(f, FOLD_OFFCPU, stack, 32, &w),
				 i < FOLD_STACKS_MAX ? 0 : -ENOSPC);
	}
	assert_int_equal(fold_stacks(f), FOLD_STACKS_MAX);
	assert_true(fold_total(f, FOLD_OFFCPU).weight == FOLD_STACKS_MAX + 5);
	fold_each(f, FOLD_OFFCPU, find_full, ctx);
	assert_true(full == 5);
	fold_free(f);
}

/* xorshift64*: the same numbers on every machine. */
static double uniform(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return (double)((*seed * 0x2545f4914f6cdd1dULL) >> 11) / 9007199254740992.0;
}

#define EVENTS 400
#define ROUNDS 20000
#define PERIOD 1000000ULL

/*
 * Draw events as the kernel side does, by a Poisson process over their time, many times over: the
 * mean of the sums must be the truth and their variance what the weights claim.
 */
static void test_weights_are_unbiased(void **state)
{
	uint64_t seed = 88172645463325252ULL, d[EVENTS];
	double truth = 0, sum = 0, squares = 0, claimed = 0, mean, variance, z;

	(void)state;
	for (size_t i = 0; i < EVENTS; i++) {
		/* 20 us to 20 ms, most of them short */
		d[i] = (uint64_t)(20000 * exp(uniform(&seed) * uniform(&seed) * log(1000)));
		truth += (double)d[i];
	}
	for (size_t round = 0; round < ROUNDS; round++) {
		double until = -log1p(-uniform(&seed)) * PERIOD, estimate = 0;

		for (size_t i = 0; i < EVENTS; i++) {
			struct fold_weight w;

			until -= (double)d[i];
			if (until > 0)
				continue;
			until = -log1p(-uniform(&seed)) * PERIOD;
			w = weight_of(d[i], PERIOD);
			estimate += w.weight;
			claimed += w.variance;
		}
		sum += estimate;
		squares += (estimate - truth) * (estimate - truth);
	}
	mean = sum / ROUNDS;
	variance = squares / ROUNDS;
	claimed /= ROUNDS;
	z = (mean - truth) / sqrt(variance / ROUNDS);
	assert_true(fabs(z) < 4);
	assert_true(fabs(claimed / variance - 1) < 0.1);
}

static void test_weight_limits(void **state)
{
	struct fold_weight w;

	(void)state;
	w = weight_of(12345, 0);
	assert_true(w.weight == 12345 && w.variance == 0 && w.samples == 1);
	w = weight_of(0, PERIOD);
	assert_true(w.weight == PERIOD);
	w = weight_of(1, PERIOD); /* a short event stands for about one period */
	assert_true(fabs(w.weight / PERIOD - 1) < 1e-5);
	w = weight_of(100 * PERIOD, PERIOD); /* a long one for itself */
	assert_true(fabs(w.weight / (100.0 * PERIOD) - 1) < 1e-12);
	assert_true(isfinite(weight_of(UINT64_MAX, 1).weight));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interning),     cmocka_unit_test(test_values_are_apart),
		cmocka_unit_test(test_bad_stacks),    cmocka_unit_test(test_quota),
		cmocka_unit_test(test_weight_limits), cmocka_unit_test(test_weights_are_unbiased),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
