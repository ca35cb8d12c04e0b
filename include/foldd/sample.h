/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The one sampler: a Poisson process along the unit of a kind (ns off CPU, bytes). An event of
 * size d is taken with p = 1 - exp(-d/T). Pure integer arithmetic, compiled for the kernel side
 * and for the tests on the host.
 *
 * Instead of drawing for each event, the distance to the next point of the process is kept and
 * used up; the exponential distribution has no memory, so the distance, being counted in periods,
 * also stays right when T changes. Events that are not taken cost a division and a subtraction.
 */
#ifndef FOLDD_SAMPLE_H
#define FOLDD_SAMPLE_H

#include "record.h"

#define FOLDD_Q     20        /* fraction bits of a distance */
#define FOLDD_LN2_Q 726817ULL /* ln 2 in Q20 */
/* T is kept below 2^38 ns (275 s), so that size << Q does not overflow for sizes under 32 T. */
#define FOLDD_PERIOD_MAX_NS (1ULL << 38)
#define FOLDD_SURE          32 /* periods: past the longest distance (ln 2^32 = 22.2) */

/* clang-format off */
/* log2(1 + i/64) in Q20; between them linear, error under 5e-5 */
static const __u32 foldd_log2_table[65] = {
	0, 23454, 46551, 69300, 91711, 113796, 135563, 157021,
	178179, 199045, 219628, 239934, 259971, 279746, 299266, 318537,
	337566, 356359, 374920, 393257, 411375, 429278, 446971, 464460,
	481749, 498843, 515745, 532461, 548995, 565349, 581529, 597537,
	613378, 629054, 644570, 659928, 675132, 690185, 705089, 719848,
	734464, 748941, 763280, 777484, 791557, 805500, 819315, 833005,
	846573, 860020, 873348, 886561, 899658, 912644, 925518, 938284,
	950944, 963498, 975949, 988298, 1000547, 1012698, 1024752, 1036711,
	1048576,
};
/* clang-format on */

/* -ln(r / 2^32) in Q20: an exponential variate with mean 1 from 32 uniform bits. */
static inline __attribute__((always_inline)) __u32 foldd_sample_distance(__u32 r)
{
	__u32 msb = 31, index, rest, log2;

	if (!r)
		r = 1;
	if (!(r & 0xffff0000)) {
		msb -= 16;
		r <<= 16;
	}
	if (!(r & 0xff000000)) {
		msb -= 8;
		r <<= 8;
	}
	if (!(r & 0xf0000000)) {
		msb -= 4;
		r <<= 4;
	}
	if (!(r & 0xc0000000)) {
		msb -= 2;
		r <<= 2;
	}
	if (!(r & 0x80000000)) {
		msb -= 1;
		r <<= 1;
	}
	index = (r >> 25) & 63;
	rest = r & 0x1ffffff;
	log2 = foldd_log2_table[index] +
	       (__u32)(((__u64)(foldd_log2_table[index + 1] - foldd_log2_table[index]) * rest) >>
		       25);
	return (__u32)((((32ULL - msb) << FOLDD_Q) - log2) * FOLDD_LN2_Q >> FOLDD_Q);
}

/*
 * 2^(Q + FOLDD_INVERSE_BITS) / T, so that counting in periods is a multiplication. T is at most
 * 2^38, sizes under 32 T: the product stays below 2^62, and the quotient is off by at most one
 * part in 2^20 (for T from 256 ns on; below it is exact enough for waits that are longer).
 */
#define FOLDD_INVERSE_BITS 37

static inline __attribute__((always_inline)) __u64 foldd_inverse(__u64 period)
{
	return period ? (1ULL << (FOLDD_Q + FOLDD_INVERSE_BITS)) / period : 0;
}

/*
 * Does the process take an event of this size? Where it does not, the distance is used up by it;
 * where it does, the caller must draw the distance anew (foldd_sample_distance), so that random
 * bits are only asked for when they are needed. An event's probability never depends on others.
 */
static inline __attribute__((always_inline)) int foldd_sample_test(__u32 *until, __u64 size,
								   __u64 period, __u64 inverse)
{
	__u64 x;

	if (!period || size >= period * FOLDD_SURE)
		return 1;
	x = (size * inverse) >> FOLDD_INVERSE_BITS;
	if (x >= *until)
		return 1;
	*until -= (__u32)x;
	return 0;
}

/* T in force under the present shift of the rate control. */
static inline __attribute__((always_inline)) __u64 foldd_period(const struct foldd_control *c)
{
	__u32 shift = c->shift;
	__u64 period = c->period_ns;

	if (!shift)
		return period;
	if (shift > FOLDD_MAX_SHIFT)
		shift = FOLDD_MAX_SHIFT;
	if (period < FOLDD_PERIOD_FLOOR_NS)
		period = FOLDD_PERIOD_FLOOR_NS;
	period <<= shift;
	return period < FOLDD_PERIOD_MAX_NS ? period : FOLDD_PERIOD_MAX_NS;
}

/* The inverse that goes with foldd_period(). c->inverse is for max(T, FOLDD_PERIOD_FLOOR_NS). */
static inline __attribute__((always_inline)) __u64
foldd_period_inverse(const struct foldd_control *c, __u64 period)
{
	__u32 shift = c->shift;

	if (period < FOLDD_PERIOD_FLOOR_NS || period >= FOLDD_PERIOD_MAX_NS ||
	    shift > FOLDD_MAX_SHIFT)
		return foldd_inverse(period);
	return c->inverse >> shift;
}

/*
 * A sample was drawn at now: raise T (double it) when this window's quota is used up, lower it
 * again by one step for each quiet window. Unlocked: what a race between CPUs loses is one
 * count of a rate that is a budget, not a measurement.
 */
static inline __attribute__((always_inline)) void foldd_rate_count(struct foldd_control *c,
								   __u64 now)
{
	__u64 past = now - c->window_ns;
	__u32 shift = c->shift, quiet;

	if (past >= FOLDD_RATE_WINDOW_NS) {
		quiet = past >= FOLDD_MAX_SHIFT * FOLDD_RATE_WINDOW_NS
				? FOLDD_MAX_SHIFT
				: (__u32)(past / FOLDD_RATE_WINDOW_NS);
		if (c->window_samples * 2 >= c->rate_quota)
			quiet--; /* the window itself was not quiet */
		c->shift = shift > quiet ? shift - quiet : 0;
		c->window_ns = now;
		c->window_samples = 0;
	}
	if (++c->window_samples > c->rate_quota && shift < FOLDD_MAX_SHIFT) {
		shift = ++c->shift;
		if (shift > c->max_shift)
			c->max_shift = shift;
		c->window_ns = now;
		c->window_samples = 0;
	}
}

/* About d / (1 - exp(-d/T)), within 2 %, for the weight of a sample that is lost. */
static inline __attribute__((always_inline)) __u64 foldd_weight_estimate(__u64 d, __u64 period)
{
	if (!period || d >= 4 * period)
		return d;
	if (d >= 2 * period)
		return d + (4 * period - d) * 5 / 32;
	return period + d / 2 + ((d * ((d << 10) / period)) >> 10) / 12;
}

#endif
