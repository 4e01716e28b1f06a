/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "collector/fleet/registry.h"

#define SLOPE_MIN_POINTS  5
#define SLOPE_MIN_SPAN_US (2 * 60 * 1000000LL)

void trend_add(struct trend *t, int64_t t_us, int64_t v)
{
	int64_t minute = t_us - t_us % REGISTRY_TREND_STEP_US;

	if (v == METRIC_ABSENT || minute < t->t0_us[t->head])
		return;
	if (minute > t->t0_us[t->head]) {
		t->head = (t->head + 1) % REGISTRY_TREND_POINTS;
		t->t0_us[t->head] = minute;
	}
	t->v[t->head] = v;
}

size_t trend_points(const struct trend *t, int64_t *times_us, int64_t *values)
{
	size_t n = 0;

	for (unsigned i = 1; i <= REGISTRY_TREND_POINTS; i++) {
		unsigned at = (t->head + i) % REGISTRY_TREND_POINTS;

		if (!t->t0_us[at])
			continue;
		times_us[n] = t->t0_us[at];
		values[n++] = t->v[at];
	}
	return n;
}

bool trend_slope(const struct trend *t, int64_t now_us, int64_t span_us, double *ret_per_hour,
		 double *ret_r2)
{
	int64_t times[REGISTRY_TREND_POINTS];
	int64_t values[REGISTRY_TREND_POINTS];
	size_t n = trend_points(t, times, values);
	size_t first = 0;
	double sx = 0;
	double sy = 0;
	double sxx = 0;
	double sxy = 0;
	double syy = 0;
	double count;
	double dx;
	double dy;
	double cov;

	while (first < n && times[first] < now_us - span_us)
		first++;
	if (n - first < SLOPE_MIN_POINTS || times[n - 1] - times[first] < SLOPE_MIN_SPAN_US)
		return false;
	for (size_t i = first; i < n; i++) {
		double x = (double)(times[i] - times[first]) / 3.6e9;
		double y = (double)(values[i] - values[first]);

		sx += x;
		sy += y;
		sxx += x * x;
		sxy += x * y;
		syy += y * y;
	}
	count = (double)(n - first);
	dx = count * sxx - sx * sx;
	dy = count * syy - sy * sy;
	cov = count * sxy - sx * sy;
	if (dx <= 0)
		return false;
	*ret_per_hour = cov / dx;
	*ret_r2 = dy > 0 ? cov * cov / (dx * dy) : 0;
	return true;
}
