/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The weight of an event of size d that a Poisson process with mean distance T took: it is taken
 * with p = 1 - exp(-d/T), so it stands for d/p, which makes every sum of weights unbiased
 * (Horvitz and Thompson). d and T in ns. T = 0: every event is taken, p = 1.
 */
#ifndef FOLDD_WEIGHT_H
#define FOLDD_WEIGHT_H

#include <math.h>
#include <stdint.h>
#include "fold.h"

static inline struct fold_weight weight_of(uint64_t d, uint64_t period)
{
	double p = period ? -expm1(-(double)d / (double)period) : 1.0;
	double w = p > 0 ? (double)d / p : (double)period; /* limit of d/p for d -> 0 */

	return (struct fold_weight){ .weight = w, .variance = w * w * (1.0 - p), .samples = 1 };
}

#endif
