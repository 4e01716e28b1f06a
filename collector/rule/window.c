/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/rule/window.h"

#include <errno.h>
#include <math.h>

#include "common/trend.h"

#define HOLE_US (180 * 1000000LL)

_Static_assert(TREND_POINTS >= WINDOW_BUCKETS, "a trend takes a whole window");

void window_init(struct window *w, int64_t width_us)
{
	*w = (struct window){.width_us = width_us, .trend_bucket = -1};
}

void window_fini(struct window *w)
{
	free(w->buckets);
	w->buckets = NULL;
}

static int64_t bucket_us(const struct window *w)
{
	return w->width_us / WINDOW_BUCKETS;
}

static int64_t bucket_of(const struct window *w, int64_t t_us)
{
	return t_us / bucket_us(w);
}

/* The oldest bucket that belongs to the window. */
static int64_t oldest(const struct window *w)
{
	int64_t from = bucket_of(w, w->last_us) - WINDOW_BUCKETS + 1;

	return MAX_OF(from, bucket_of(w, w->first_us));
}

static struct window_bucket *at(const struct window *w, int64_t b)
{
	return &w->buckets[b % WINDOW_BUCKETS];
}

static void put(struct window *w, int64_t t_us, double v)
{
	int64_t b = bucket_of(w, t_us);
	struct window_bucket *k = at(w, b);
	float f = (float)v;

	if (!k->n)
		*k = (struct window_bucket){.min = f, .max = f, .mean = f};
	if (k->n < UINT16_MAX)
		k->n++;
	k->last = f;
	k->min = fminf(k->min, f);
	k->max = fmaxf(k->max, f);
	k->mean += (f - k->mean) / (float)k->n;
	k->at = (uint16_t)((t_us - b * bucket_us(w)) * 65536 / bucket_us(w));
}

/* Buckets that came to be since the last sample are new: what they held is a window ago. */
static void forget(struct window *w, int64_t from, int64_t to)
{
	if (to - from >= WINDOW_BUCKETS)
		from = to - WINDOW_BUCKETS + 1;
	for (; from <= to; from++)
		at(w, from)->n = 0;
}

/* The value moves for the first time: writes down the flat past. */
static int unfold(struct window *w)
{
	int64_t b = oldest(w);

	w->buckets = calloc(WINDOW_BUCKETS, sizeof(*w->buckets));
	if (!w->buckets)
		return -ENOMEM;
	put(w, MAX_OF(w->first_us, b * bucket_us(w)), w->last);
	for (b++; b < bucket_of(w, w->last_us); b++)
		put(w, b * bucket_us(w) + bucket_us(w) / 2, w->last);
	put(w, w->last_us, w->last);
	return 0;
}

static void start(struct window *w, int64_t t_us, double v)
{
	window_fini(w);
	w->first_us = w->last_us = w->moved_us = t_us;
	w->last = v;
	w->trend_bucket = -1;
}

bool window_settled(const struct window *w, int64_t now_us)
{
	int64_t since = MAX_OF(w->moved_us, w->first_us);

	return now_us - since > w->width_us + 2 * bucket_us(w);
}

int window_feed(struct window *w, int64_t t_us, double v)
{
	if (!w->last_us || t_us - w->last_us > MAX_OF(w->width_us / 2, HOLE_US)) {
		start(w, t_us, v);
		return 0;
	}
	if (t_us <= w->last_us)
		return 0;
	if (v == w->last && window_settled(w, t_us))
		window_fini(w);
	if (v != w->last && !w->buckets && unfold(w) < 0)
		return -ENOMEM;
	if (v != w->last)
		w->moved_us = t_us;
	if (w->buckets) {
		forget(w, bucket_of(w, w->last_us) + 1, bucket_of(w, t_us));
		put(w, t_us, v);
	}
	w->last = v;
	w->last_us = t_us;
	return 0;
}

static int64_t span_us(const struct window *w)
{
	return MIN_OF(w->last_us - w->first_us, w->width_us);
}

static size_t points(const struct window *w, struct trend_point out[WINDOW_BUCKETS])
{
	int64_t from = oldest(w);
	double width = (double)bucket_us(w) / 1e6;
	size_t n = 0;

	for (int64_t b = from; b <= bucket_of(w, w->last_us); b++) {
		const struct window_bucket *k = at(w, b);

		if (k->n)
			out[n++] = (struct trend_point){
				((double)(b - from) + k->at / 65536.0) * width,
				(double)k->last,
			};
	}
	return n;
}

static void refresh_trend(struct window *w)
{
	struct trend_point p[WINDOW_BUCKETS];
	int64_t b = bucket_of(w, w->last_us);
	size_t n;

	if (!w->buckets) {
		w->slope = w->r2 = 0;
		w->trend_bucket = -1;
		return;
	}
	if (w->trend_bucket == b)
		return;
	n = points(w, p);
	w->slope = trend_theil_sen(p, n);
	w->r2 = trend_r2(p, n);
	w->trend_bucket = b;
}

static double first_value(const struct window *w)
{
	for (int64_t b = oldest(w); w->buckets && b <= bucket_of(w, w->last_us); b++)
		if (at(w, b)->n)
			return (double)at(w, b)->last;
	return w->last;
}

/* The last sample is known in full; older ones as floats, so equal ones must stay equal. */
static double delta(const struct window *w)
{
	return w->buckets ? (double)(float)w->last - first_value(w) : 0;
}

struct sums {
	double min;
	double max;
	double mean;
	double samples;
	double spread; /* standard deviation of the buckets' means */
};

static struct sums sum_up(const struct window *w)
{
	struct sums s = {w->last, w->last, 0, 0, 0};
	double buckets = 0;
	double mean = 0;

	for (int64_t b = oldest(w); b <= bucket_of(w, w->last_us); b++) {
		const struct window_bucket *k = at(w, b);
		double step;

		if (!k->n)
			continue;
		s.min = fmin(s.min, (double)k->min);
		s.max = fmax(s.max, (double)k->max);
		s.samples += k->n;
		s.mean += ((double)k->mean - s.mean) * k->n / s.samples;
		/* Welford: no large squares to take from one another */
		step = (double)k->mean - mean;
		mean += step / ++buckets;
		s.spread += step * ((double)k->mean - mean);
	}
	s.spread = buckets > 1 ? sqrt(s.spread / (buckets - 1)) : 0;
	return s;
}

static struct sums sums_of(const struct window *w)
{
	if (w->buckets)
		return sum_up(w);
	return (struct sums){w->last, w->last, w->last, 0, 0};
}

/* How many buckets have a sample: whether there was data, whatever the interval. */
static double filled(const struct window *w)
{
	double n = 0;

	if (!w->buckets)
		return (double)(bucket_of(w, w->last_us) - oldest(w) + 1);
	for (int64_t b = oldest(w); b <= bucket_of(w, w->last_us); b++)
		n += at(w, b)->n ? 1 : 0;
	return n;
}

bool window_value(struct window *w, enum rule_fn fn, double *ret)
{
	if (!w->last_us || (rule_fn_needs_half(fn) && span_us(w) * 2 < w->width_us))
		return false;
	switch (fn) {
	case RULE_FN_AVG:
		*ret = sums_of(w).mean;
		return true;
	case RULE_FN_MIN:
		*ret = sums_of(w).min;
		return true;
	case RULE_FN_MAX:
		*ret = sums_of(w).max;
		return true;
	case RULE_FN_STDDEV:
		*ret = sums_of(w).spread;
		return true;
	case RULE_FN_LAST:
		*ret = w->last;
		return true;
	case RULE_FN_FIRST:
		*ret = first_value(w);
		return true;
	case RULE_FN_DELTA:
		*ret = delta(w);
		return true;
	case RULE_FN_RATE:
		*ret = delta(w) / ((double)span_us(w) / 1e6);
		return true;
	case RULE_FN_SLOPE:
		refresh_trend(w);
		*ret = w->slope;
		return true;
	case RULE_FN_R2:
		refresh_trend(w);
		*ret = w->r2;
		return true;
	case RULE_FN_COUNTED:
		*ret = filled(w);
		return true;
	case RULE_FN_TTO:
	case RULE_FN_COUNT:
		break;
	}
	return false;
}

bool window_tto(struct window *w, double limit, bool bytes, double *ret)
{
	double way = limit - w->last;
	double moved = delta(w);
	double floor_ = WINDOW_TTO_SHARE * fabs(w->last);

	if (!w->last_us || (double)span_us(w) < WINDOW_TTO_FULL * (double)w->width_us)
		return false;
	if (bytes)
		floor_ = fmax(floor_, WINDOW_TTO_BYTES);
	refresh_trend(w);
	/* On the limit, or it was crossed within the window. */
	if (way == 0 || (limit - first_value(w)) * way < 0)
		*ret = 0;
	else if (moved * way <= 0 || fabs(moved) < floor_ || w->slope * way <= 0)
		*ret = INFINITY;
	else if (w->r2 < WINDOW_TTO_R2)
		return false;
	else
		*ret = way / w->slope;
	return true;
}
