/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/window_figures.h"

#include "common/check.h"
#include "proto/metric.h"

static const enum metric counted[] = {METRIC_CPU, METRIC_MAJFLT, METRIC_GC2, METRIC_COLLECTED,
				      METRIC_UNCOLLECTABLE};
_Static_assert(ARRAY_SIZE(counted) == WINDOW_COUNTED, "struct running_figures has room for them");

void running_figures_init(struct running_figures *f)
{
	*f = (struct running_figures){.swap_max = METRIC_ABSENT};
	for (size_t i = 0; i < ARRAY_SIZE(counted); i++)
		f->counted[i] = METRIC_ABSENT;
}

static void count(struct running_figures *f, const int64_t *old, const int64_t *v)
{
	for (size_t i = 0; i < ARRAY_SIZE(counted); i++) {
		int64_t now = v[counted[i]], before = old ? old[counted[i]] : METRIC_ABSENT;

		if (now == METRIC_ABSENT)
			continue;
		if (f->counted[i] == METRIC_ABSENT)
			f->counted[i] = 0;
		if (before != METRIC_ABSENT)
			f->counted[i] += now >= before ? now - before : now;
	}
}

void running_figures_add(struct running_figures *f, int64_t ms, const int64_t *before,
			 const int64_t *v)
{
	double t = (double)ms / 3.6e6, rss = (double)v[METRIC_RSS];

	count(f, before, v);
	if (v[METRIC_SWAP] != METRIC_ABSENT && v[METRIC_SWAP] > f->swap_max)
		f->swap_max = v[METRIC_SWAP];
	if (v[METRIC_RSS] == METRIC_ABSENT)
		return;
	if (!f->n++)
		f->min = f->max = f->first = v[METRIC_RSS];
	f->min = MIN_OF(f->min, v[METRIC_RSS]);
	f->max = MAX_OF(f->max, v[METRIC_RSS]);
	f->sum += rss;
	f->st += t;
	f->sv += rss;
	f->stt += t * t;
	f->stv += t * rss;
}

struct window_figures running_figures_end(const struct running_figures *f, const int64_t *last)
{
	double n = f->n, d = n * f->stt - f->st * f->st;
	struct window_figures w = {
		.rss_min = METRIC_ABSENT,
		.rss_max = METRIC_ABSENT,
		.rss_avg = METRIC_ABSENT,
		.rss_first = METRIC_ABSENT,
		.rss_last = last[METRIC_RSS],
		.anon_last = last[METRIC_ANON],
		.swap_max = f->swap_max,
		.cpu_ms = f->counted[0],
		.majflt = f->counted[1],
		.gc2 = f->counted[2],
		.collected = f->counted[3],
		.uncollectable = f->counted[4],
	};

	if (f->n) {
		w.rss_min = f->min;
		w.rss_max = f->max;
		w.rss_first = f->first;
		w.rss_avg = (int64_t)(f->sum / n + 0.5);
	}
	if (f->n >= 3 && d > 0) {
		w.has_slope = true;
		w.rss_slope = (n * f->stv - f->st * f->sv) / d;
	}
	return w;
}
