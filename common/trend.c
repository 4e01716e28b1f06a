/* SPDX-License-Identifier: Apache-2.0 */
#include "common/trend.h"

#include "common/check.h"

#define PAIRS (TREND_POINTS * (TREND_POINTS - 1) / 2)

/* Hoare's selection with the middle element as pivot: expected linear, no allocation. */
static double kth(double *a, size_t n, size_t k)
{
	size_t lo = 0;
	size_t hi = n - 1;

	while (lo < hi) {
		double pivot = a[lo + (hi - lo) / 2];
		size_t i = lo;
		size_t j = hi;

		for (;;) {
			while (a[i] < pivot)
				i++;
			while (a[j] > pivot)
				j--;
			if (i >= j)
				break;
			double swap = a[i];

			a[i++] = a[j];
			a[j--] = swap;
		}
		/* a[lo..j] <= pivot <= a[j+1..hi] */
		if (k <= j)
			hi = j;
		else
			lo = j + 1;
	}
	return a[k];
}

double trend_theil_sen(const struct trend_point *p, size_t n)
{
	double slopes[PAIRS];
	double upper;
	double lower;
	size_t m = 0;

	n = MIN_OF(n, (size_t)TREND_POINTS);
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++)
			if (p[j].t > p[i].t)
				slopes[m++] = (p[j].v - p[i].v) / (p[j].t - p[i].t);
	if (!m)
		return 0;
	upper = kth(slopes, m, m / 2);
	if (m % 2)
		return upper;
	lower = kth(slopes, m, m / 2 - 1);
	return (lower + upper) / 2;
}

double trend_r2(const struct trend_point *p, size_t n)
{
	double mean_t = 0;
	double mean_v = 0;
	double tt = 0;
	double vv = 0;
	double tv = 0;

	for (size_t i = 0; i < n; i++) {
		mean_t += p[i].t / (double)n;
		mean_v += p[i].v / (double)n;
	}
	for (size_t i = 0; i < n; i++) {
		double dt = p[i].t - mean_t;
		double dv = p[i].v - mean_v;

		tt += dt * dt;
		vv += dv * dv;
		tv += dt * dv;
	}
	return tt > 0 && vv > 0 ? tv * tv / (tt * vv) : 0;
}
