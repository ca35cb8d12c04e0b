/* SPDX-License-Identifier: BSD-2-Clause */
/* The sampler's arithmetic, against the formulas that it approximates. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <foldd/sample.h>

#define ROUNDS 1000000

/* xorshift64*, with a fixed seed: the tests below hold for this sequence or not at all. */
static uint64_t state;

static uint32_t random32(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)(state * 0x2545F4914F6CDD1DULL >> 32);
}

static int take(uint32_t *until, uint64_t size, uint64_t period)
{
	if (!foldd_sample_test(until, size, period, foldd_inverse(period)))
		return 0;
	*until = foldd_sample_distance(random32());
	return 1;
}

static int setup(void **unused)
{
	(void)unused;
	state = 88172645463325252ULL;
	return 0;
}

static void distance_is_minus_ln(void **unused)
{
	static const uint32_t fixed[] = {
		1, 2, 3, 0x80000000, 0xffffffff, 0x7fffffff, 65536, 12345
	};
	double worst = 0;

	(void)unused;
	for (size_t i = 0; i < 100000; i++) {
		uint32_t r = i < sizeof(fixed) / sizeof(fixed[0]) ? fixed[i] : random32();
		double want = 32 * log(2) - log((double)r);
		double have = foldd_sample_distance(r) / 1048576.0;

		worst = fmax(worst, fabs(have - want));
	}
	assert_true(worst < 1e-4);
	assert_true(foldd_sample_distance(0) == foldd_sample_distance(1));
}

static void distance_has_mean_and_variance_one(void **unused)
{
	double sum = 0, squares = 0;

	(void)unused;
	for (int i = 0; i < ROUNDS; i++) {
		double x = foldd_sample_distance(random32()) / 1048576.0;

		sum += x;
		squares += x * x;
	}
	assert_true(fabs(sum / ROUNDS - 1) < 4 / sqrt(ROUNDS));
	/* E[x^2] = 2, Var[x^2] = 20 */
	assert_true(fabs(squares / ROUNDS - 2) < 4 * sqrt(20.0 / ROUNDS));
}

/* The share of events of one size that is taken, among events of quite other sizes. */
static void check_probability(uint64_t size, uint64_t other, uint64_t period)
{
	uint32_t until = foldd_sample_distance(random32());
	double p = 1 - exp(-(double)size / (double)period);
	int taken = 0;

	for (int i = 0; i < ROUNDS; i++) {
		taken += take(&until, size, period);
		(void)take(&until, other, period);
	}
	/* four standard errors, and the 2^-20 by which a distance is rounded (three times) */
	assert_true(fabs((double)taken / ROUNDS - p) < 4 * sqrt(p * (1 - p) / ROUNDS) + 3e-6);
}

static void probability_is_by_size(void **unused)
{
	(void)unused;
	check_probability(1000000, 100, 1000000);
	check_probability(1000, 3000000, 1000000);
	check_probability(5000, 5000, 1000000);
	check_probability(3000000, 1000, 1000000);
	check_probability(100000000, 1, 1000000);
	check_probability(3000, 1000, 1000);
	check_probability(1ULL << 40, 1ULL << 36, FOLDD_PERIOD_MAX_NS);
}

static void period_zero_takes_all(void **unused)
{
	uint32_t until = 1U << 30;

	(void)unused;
	assert_true(foldd_sample_test(&until, 0, 0, 0));
	assert_int_equal(until, 1U << 30);
}

static void rate_raises_and_lowers_the_period(void **unused)
{
	struct foldd_control c = { .period_ns = 0, .rate_quota = 100 };
	uint64_t now = 1000000000;

	(void)unused;
	assert_int_equal(foldd_period(&c), 0);
	for (int i = 0; i < 1000; i++) /* a storm: ten quotas at once */
		foldd_rate_count(&c, now);
	assert_in_range(c.shift, 8, 10);
	assert_int_equal(c.max_shift, c.shift);
	assert_int_equal(foldd_period(&c), FOLDD_PERIOD_FLOOR_NS << c.shift);
	for (int i = 0; i < 60; i++) { /* one sample in each window: quiet */
		now += FOLDD_RATE_WINDOW_NS;
		foldd_rate_count(&c, now);
	}
	assert_int_equal(c.shift, 0);
	assert_int_equal(foldd_period(&c), 0);
	for (int i = 0; i < 500; i++)
		foldd_rate_count(&c, now);
	assert_true(c.shift > 2);
	now += 1000000000; /* nothing at all for a second */
	foldd_rate_count(&c, now);
	assert_int_equal(c.shift, 0);
}

static void inverse_goes_with_the_period(void **unused)
{
	static const uint64_t bases[] = { 0, 1, 999, 1000, 1000000, 1ULL << 37 };

	(void)unused;
	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		uint64_t base = bases[i] < FOLDD_PERIOD_FLOOR_NS ? FOLDD_PERIOD_FLOOR_NS : bases[i];
		struct foldd_control c = { .period_ns = bases[i], .inverse = foldd_inverse(base) };

		for (c.shift = 0; c.shift <= FOLDD_MAX_SHIFT; c.shift++) {
			uint64_t period = foldd_period(&c);
			double want = period ? (double)foldd_inverse(period) : 0;

			assert_true(fabs((double)foldd_period_inverse(&c, period) - want) <=
				    want * 4e-6 + 1);
		}
	}
}

static void period_has_a_ceiling(void **unused)
{
	struct foldd_control c = { .period_ns = 1ULL << 37, .shift = 20 };

	(void)unused;
	assert_int_equal(foldd_period(&c), FOLDD_PERIOD_MAX_NS);
}

static void weight_estimate_is_close(void **unused)
{
	static const uint64_t periods[] = { 1000, 1000000, 1ULL << 38 };

	(void)unused;
	for (size_t i = 0; i < 3; i++)
		for (double x = 0.001; x < 100; x *= 1.1) {
			uint64_t d = (uint64_t)(x * (double)periods[i]);
			double want = (double)d / -expm1(-(double)d / (double)periods[i]);

			if (!d)
				continue;
			assert_true(fabs((double)foldd_weight_estimate(d, periods[i]) / want - 1) <
				    0.03);
		}
	assert_int_equal(foldd_weight_estimate(77, 0), 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(distance_is_minus_ln, setup),
		cmocka_unit_test_setup(distance_has_mean_and_variance_one, setup),
		cmocka_unit_test_setup(probability_is_by_size, setup),
		cmocka_unit_test(period_zero_takes_all),
		cmocka_unit_test(rate_raises_and_lowers_the_period),
		cmocka_unit_test(inverse_goes_with_the_period),
		cmocka_unit_test(period_has_a_ceiling),
		cmocka_unit_test(weight_estimate_is_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
