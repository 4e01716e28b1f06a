/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunk_predict.h - what both directions of the chunk codec know of predicted columns: the sum of
 * others, where all of them are present. For chunk.c and chunk_decode.c. Pure.
 *
 * A bound is a number that no value's magnitude in a column exceeds, PREDICT_WILD where one is
 * absent or nearly as large as int64 goes; 0 only where all are 0. With small bounds no sum can
 * wrap or look like 'absent', so whole columns are added without a look at each value: that is
 * nearly always.
 */
#ifndef MEMHERD_COLLECTOR_STORE_CHUNK_PREDICT_H
#define MEMHERD_COLLECTOR_STORE_CHUNK_PREDICT_H

#include "collector/store/chunk.h"

#define PREDICT_WILD (UINT64_C(1) << 60)

/* Differences wrap: any two int64 have one, and adding it back is exact. */
static inline int64_t minus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

static inline int64_t plus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

/* All bits of these of many values or-ed, plus one, are a bound. */
static inline uint64_t predict_bits(int64_t v)
{
	return (uint64_t)v ^ (v < 0 ? UINT64_MAX : 0);
}

const struct chunk_predictor *predictor_of(const struct chunk_spec *spec, unsigned column);
uint64_t predict_bound(const int64_t *v, size_t n);

/* The columns that one is predicted from, in the order of its terms. */
struct predict_terms {
	const int64_t *v[CHUNK_MAX_TERMS];
	uint64_t bound[CHUNK_MAX_TERMS];
};

/* Adds to each value of v what it is predicted to be. *bound: of v, before and after. */
void predict_add(const struct chunk_predictor *p, const struct predict_terms *terms, size_t n,
		 int64_t *v, uint64_t *bound);
/* The other way. -EINVAL when a difference happens to be the mark for 'absent': a reader could not
 * tell it, and no real figure is near 2^63. */
int predict_subtract(const struct chunk_predictor *p, const struct predict_terms *terms, size_t n,
		     int64_t *v, uint64_t bound) must_use;

#endif
