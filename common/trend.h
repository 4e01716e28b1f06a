/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trend.h - what a line through at most TREND_POINTS points says. Pure, allocates nothing.
 */
#ifndef MEMHERD_COMMON_TREND_H
#define MEMHERD_COMMON_TREND_H

#include <stddef.h>

#define TREND_POINTS 60

struct trend_point {
	double t; /* seconds */
	double v;
};

/* Theil-Sen: the median of the slopes of all pairs (Sen 1968), v per second; a burst of outliers
 * below 29 % of the points does not move it. 0 for fewer than two points in time. */
double trend_theil_sen(const struct trend_point *p, size_t n);
/* Squared Pearson correlation with time, 0..1; 0 where either does not vary. */
double trend_r2(const struct trend_point *p, size_t n);

#endif
