/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/registry.h"

#include <string.h>

#define SLOPE_MIN_POINTS  5
#define SLOPE_MIN_SPAN_US (60 * 1000000LL)

/* Every second point goes, the newest stays. */
static void halve(struct trend *t)
{
	unsigned kept = 0;

	for (unsigned i = (t->n + 1) % 2; i < t->n; i += 2, kept++) {
		t->t_us[kept] = t->t_us[i];
		t->v[kept] = t->v[i];
	}
	t->n = kept;
	t->step_us *= 2;
}

void trend_add(struct trend *t, int64_t t_us, int64_t v)
{
	if (v == METRIC_ABSENT)
		return;
	if (!t->step_us)
		t->step_us = TREND_STEP_MIN_US;
	if (t->n && t_us < t->t_us[t->n - 1])
		return;
	if (t->n && t_us - t->t_us[t->n - 1] < t->step_us) {
		t->v[t->n - 1] = v;
		return;
	}
	if (t->n == TREND_POINTS && t->step_us < TREND_STEP_MAX_US)
		halve(t);
	if (t->n == TREND_POINTS) {
		memmove(t->t_us, t->t_us + 1, sizeof(t->t_us) - sizeof(t->t_us[0]));
		memmove(t->v, t->v + 1, sizeof(t->v) - sizeof(t->v[0]));
		t->n--;
	}
	t->t_us[t->n] = t_us;
	t->v[t->n++] = v;
}

bool trend_slope(const struct trend *t, int64_t now_us, int64_t span_us, double *ret_per_hour,
		 double *ret_r2)
{
	unsigned first = 0;
	double sx = 0;
	double sy = 0;
	double sxx = 0;
	double sxy = 0;
	double syy = 0;
	double count;
	double dx;
	double dy;
	double cov;

	while (first < t->n && t->t_us[first] < now_us - span_us)
		first++;
	if (t->n - first < SLOPE_MIN_POINTS ||
	    t->t_us[t->n - 1] - t->t_us[first] < SLOPE_MIN_SPAN_US)
		return false;
	for (unsigned i = first; i < t->n; i++) {
		double x = (double)(t->t_us[i] - t->t_us[first]) / 3.6e9;
		double y = (double)(t->v[i] - t->v[first]);

		sx += x;
		sy += y;
		sxx += x * x;
		sxy += x * y;
		syy += y * y;
	}
	count = (double)(t->n - first);
	dx = count * sxx - sx * sx;
	dy = count * syy - sy * sy;
	cov = count * sxy - sx * sy;
	if (dx <= 0)
		return false;
	*ret_per_hour = cov / dx;
	*ret_r2 = dy > 0 ? cov * cov / (dx * dy) : 0;
	return true;
}
