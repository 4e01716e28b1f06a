/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/chunk_predict.h"

#include <errno.h>

const struct chunk_predictor *predictor_of(const struct chunk_spec *spec, unsigned column)
{
	for (size_t i = 0; i < spec->n_predictors; i++)
		if (spec->predictors[i].column == column)
			return &spec->predictors[i];
	return NULL;
}

static uint64_t tamed(uint64_t bound)
{
	return MIN_OF(bound, PREDICT_WILD);
}

uint64_t predict_bound(const int64_t *v, size_t n)
{
	uint64_t all = 0, bits = 0;

	for (size_t i = 0; i < n; i++)
		all |= (uint64_t)v[i];
	if (all <= INT64_MAX) /* none is negative or absent: as good, and cheaper to know */
		return tamed(all);
	for (size_t i = 0; i < n; i++)
		bits |= predict_bits(v[i]);
	return tamed(bits + 1);
}

/* Of the sum of all. */
static uint64_t bound_of(const struct chunk_predictor *p, const struct predict_terms *terms,
			 uint64_t bound)
{
	bound = tamed(bound);
	for (unsigned k = 0; k < p->n_terms; k++)
		bound += tamed(terms->bound[k]);
	return tamed(bound);
}

/* Where bounds are small. A bound of 0 is a column of zeros: many are. */
static void add_columns(const struct chunk_predictor *p, const struct predict_terms *terms,
			size_t n, int64_t *v, int sign)
{
	for (unsigned k = 0; k < p->n_terms; k++) {
		const int64_t *term = terms->v[k];

		if (terms->bound[k] == 0)
			continue;
		if (p->terms[k].sign == sign)
			for (size_t i = 0; i < n; i++)
				v[i] = plus(v[i], term[i]);
		else
			for (size_t i = 0; i < n; i++)
				v[i] = minus(v[i], term[i]);
	}
}

/* The prediction for sample i, false when a term is absent. */
static bool predict(const struct chunk_predictor *p, const struct predict_terms *terms, size_t i,
		    int64_t *ret)
{
	int64_t sum = 0;

	for (unsigned k = 0; k < p->n_terms; k++) {
		int64_t v = terms->v[k][i];

		if (v == METRIC_ABSENT)
			return false;
		sum = p->terms[k].sign < 0 ? minus(sum, v) : plus(sum, v);
		if (sum == METRIC_ABSENT) /* a reader could not tell */
			return false;
	}
	*ret = sum;
	return true;
}

void predict_add(const struct chunk_predictor *p, const struct predict_terms *terms, size_t n,
		 int64_t *v, uint64_t *bound)
{
	int64_t guess;

	*bound = bound_of(p, terms, *bound);
	if (*bound < PREDICT_WILD) {
		add_columns(p, terms, n, v, 1);
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (v[i] != METRIC_ABSENT && predict(p, terms, i, &guess))
			v[i] = plus(v[i], guess);
}

int predict_subtract(const struct chunk_predictor *p, const struct predict_terms *terms, size_t n,
		     int64_t *v, uint64_t bound)
{
	int64_t guess;

	if (bound_of(p, terms, bound) < PREDICT_WILD) {
		add_columns(p, terms, n, v, -1);
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		if (v[i] == METRIC_ABSENT || !predict(p, terms, i, &guess))
			continue;
		v[i] = minus(v[i], guess);
		if (v[i] == METRIC_ABSENT)
			return -EINVAL;
	}
	return 0;
}
