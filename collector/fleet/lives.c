/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/lives.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/str.h"

#define WARM_UP_US    (10 * 60 * USEC_PER_SEC)
#define SPAN_MIN_US   (10 * 60 * USEC_PER_SEC) /* of all lives together, to tell anything */
#define LIFE_MIN      4                        /* points of a life that counts */
#define SIDE_MIN      3                        /* points on each side of a burst */
#define SIDE_MAX      8                        /* that its median is taken of */
#define MAD_SCALE     1.4826
#define SHARE_MIN     0.03 /* growth of a life, of its size */
#define BURST_SHARE   0.6  /* of the growth, that bursts are */
#define LATE_SHARE    0.2  /* of the early slope, below which it has levelled off */
#define LINE_R2       0.5
#define DRIVER_FACTOR 2.0   /* between what the two leave unexplained */
#define RESIDUAL_MIN  0.005 /* noise of the measurement itself */
#define HOUR_S        3600.0

static const struct {
	const char *word;
	const char *text;
} shapes[] =
	{
#define X(NAME, word, text) {#word, text},
		GROWTH_SHAPE_LIST(X)
#undef X
},
  drivers[] = {
#define X(NAME, word, text) {#word, text},
	  GROWTH_DRIVER_LIST(X)
#undef X
};

const char *growth_shape_word(enum growth_shape shape)
{
	return shapes[shape].word;
}

const char *growth_driver_word(enum growth_driver driver)
{
	return drivers[driver].word;
}

/* ---- points ---- */

struct life *lives_get(struct lives *l, int64_t proc_id, int64_t key)
{
	for (size_t i = l->n; i > 0; i--)
		if (l->life[i - 1].proc_id == proc_id)
			return &l->life[i - 1];
	if (l->n == LIVES_MAX)
		return NULL;
	l->life[l->n] = (struct life){.proc_id = proc_id, .key = key, .skip = 1};
	return &l->life[l->n++];
}

void life_add(struct life *l, int64_t t_us, double bytes, double cpu_s)
{
	if (l->n && t_us <= l->p[l->n - 1].t_us)
		return;
	/* Between those that are kept the newest stands for its neighbours. */
	if (l->seen++ % l->skip && l->n) {
		l->p[l->n - 1] = (struct life_point){t_us, bytes, cpu_s};
		return;
	}
	if (l->n == LIFE_POINTS) {
		for (unsigned i = 0; i < LIFE_POINTS; i += 2)
			l->p[i / 2] = l->p[i];
		l->n = LIFE_POINTS / 2;
		l->skip *= 2;
	}
	l->p[l->n++] = (struct life_point){t_us, bytes, cpu_s};
}

/* ---- numbers ---- */

static int by_value(const void *a, const void *b)
{
	const double *x = a;
	const double *y = b;

	return (*x > *y) - (*x < *y);
}

/* Sorts v. */
static double median(double *v, size_t n)
{
	if (!n)
		return NAN;
	qsort(v, n, sizeof(*v), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static double median_of(const struct life *l, unsigned from, unsigned to)
{
	double v[LIFE_POINTS];
	size_t n = 0;

	for (unsigned i = from; i < to; i++)
		v[n++] = l->p[i].bytes;
	return median(v, n);
}

static double seconds(const struct life *l, unsigned i)
{
	return (double)(l->p[i].t_us - l->p[0].t_us) / USEC_PER_SEC;
}

/* The first point that counts: after the warm-up, where most of the life is after it. */
static unsigned settled(const struct life *l)
{
	unsigned i = 0;

	while (i < l->n && l->p[i].t_us - l->p[0].t_us < WARM_UP_US)
		i++;
	return l->n - i >= 2 * LIFE_MIN && 2 * i <= l->n ? i : 0;
}

/* Slopes of the pairs of points [from, to), appended; per second. */
static size_t add_slopes(double *to, size_t n, const struct life *l, unsigned first, unsigned end)
{
	for (unsigned i = first; i < end; i++)
		for (unsigned j = i + 1; j < end; j++)
			to[n++] = (l->p[j].bytes - l->p[i].bytes) / (seconds(l, j) - seconds(l, i));
	return n;
}

/* Sums of products of what differs from its life's mean. */
struct moments {
	double tt, cc, bb, tb, cb;
	bool cpu; /* known of every point */
};

static void add_moments(struct moments *m, const struct life *l, unsigned from)
{
	double n = l->n - from;
	double t = 0;
	double b = 0;
	double c = 0;

	for (unsigned i = from; i < l->n; i++) {
		t += seconds(l, i) / n;
		b += l->p[i].bytes / n;
		c += l->p[i].cpu_s / n;
	}
	m->cpu = m->cpu && isfinite(c);
	for (unsigned i = from; i < l->n; i++) {
		double dt = seconds(l, i) - t;
		double db = l->p[i].bytes - b;
		double dc = l->p[i].cpu_s - c;

		m->tt += dt * dt;
		m->bb += db * db;
		m->cc += dc * dc;
		m->tb += dt * db;
		m->cb += dc * db;
	}
}

static double r2_of(double xx, double yy, double xy)
{
	return xx > 0 && yy > 0 ? xy * xy / (xx * yy) : 0;
}

/* ---- a burst ---- */

struct burst {
	double bytes; /* 0 = none */
	int64_t t_us;
};

/* Median absolute deviation from the median of each side. */
static double spread_of(const struct life *l, unsigned at, double before, double after)
{
	double v[LIFE_POINTS];

	for (unsigned i = 0; i < l->n; i++)
		v[i] = fabs(l->p[i].bytes - (i < at ? before : after));
	return MAD_SCALE * median(v, l->n);
}

static double left_by_steps(const struct life *l, unsigned at, double before, double after)
{
	double sum = 0;

	for (unsigned i = 0; i < l->n; i++)
		sum += fabs(l->p[i].bytes - (i < at ? before : after));
	return sum;
}

static double left_by_line(const struct life *l)
{
	double slopes[LIFE_POINTS * (LIFE_POINTS - 1) / 2];
	double rest[LIFE_POINTS];
	double slope = median(slopes, add_slopes(slopes, 0, l, 0, l->n));
	double level;
	double sum = 0;

	for (unsigned i = 0; i < l->n; i++)
		rest[i] = l->p[i].bytes - slope * seconds(l, i);
	level = median(rest, l->n);
	for (unsigned i = 0; i < l->n; i++)
		sum += fabs(l->p[i].bytes - slope * seconds(l, i) - level);
	return sum;
}

static struct burst burst_of(const struct life *l)
{
	struct burst none = {0};
	unsigned best = 0;
	double most = 0;
	double before;
	double after;

	for (unsigned at = SIDE_MIN; at + SIDE_MIN <= l->n; at++) {
		double jump = median_of(l, at, MIN_OF(l->n, at + SIDE_MAX)) -
			      median_of(l, at > SIDE_MAX ? at - SIDE_MAX : 0, at);

		if (jump > most) {
			most = jump;
			best = at;
		}
	}
	if (!best || most < LIVES_GROWTH_MIN)
		return none;
	before = median_of(l, 0, best);
	after = median_of(l, best, l->n);
	if (after - before < LIVES_JUMP * spread_of(l, best, before, after) ||
	    left_by_steps(l, best, before, after) > left_by_line(l) / 2)
		return none;
	return (struct burst){after - before, l->p[best].t_us};
}

/* ---- all lives ---- */

/* What is gathered over the lives. */
struct gathered {
	double *slopes; /* per second, of all pairs */
	double *early;  /* ... of the first and of the second half of each life */
	double *late;
	size_t n, n_early, n_late;
	double grown[LIVES_MAX];
	double size[LIVES_MAX];
	size_t lives;
	double total; /* of growth, and of the part of it that bursts are */
	double bursts;
	struct moments m;
};

static void gather_life(struct gathered *g, struct growth *to, const struct life *l)
{
	unsigned from = settled(l);
	unsigned middle = from + (l->n - from) / 2;
	unsigned ends = MAX_OF((l->n - from) / 8, 1u);
	struct burst b = burst_of(l);
	double grown = median_of(l, l->n - ends, l->n) - median_of(l, from, from + ends);

	g->n = add_slopes(g->slopes, g->n, l, from, l->n);
	g->n_early = add_slopes(g->early, g->n_early, l, 0, middle);
	g->n_late = add_slopes(g->late, g->n_late, l, middle, l->n);
	g->size[g->lives] = l->p[l->n - 1].bytes;
	g->grown[g->lives++] = grown;
	g->total += MAX_OF(grown, 0);
	g->bursts += MIN_OF(b.bytes, MAX_OF(grown, 0));
	if (b.bytes > to->burst_bytes) {
		to->burst_bytes = b.bytes;
		to->burst_us = b.t_us;
	}
	add_moments(&g->m, l, from);
}

static void count_restarts(const struct lives *l, struct growth *to)
{
	int64_t first = INT64_MAX;
	int64_t last = 0;

	for (size_t i = 0; i < l->n; i++) {
		const struct life *a = &l->life[i];
		bool followed = false;

		if (!a->n)
			continue;
		first = MIN_OF(first, a->p[0].t_us);
		last = MAX_OF(last, a->p[a->n - 1].t_us);
		for (size_t k = 0; k < l->n; k++) {
			const struct life *b = &l->life[k];

			followed |= k != i && b->n && b->key == a->key &&
				    b->p[b->n - 1].t_us <= a->p[0].t_us;
		}
		to->restarts += followed;
	}
	to->span_s = last > first ? (double)(last - first) / USEC_PER_SEC : 0;
}

static enum growth_driver driver_of(double r2, double r2_cpu)
{
	double of_time = MAX_OF(1 - r2, RESIDUAL_MIN);
	double of_cpu;

	if (!isfinite(r2_cpu))
		return DRIVER_UNKNOWN;
	of_cpu = MAX_OF(1 - r2_cpu, RESIDUAL_MIN);
	if (of_time * DRIVER_FACTOR <= of_cpu)
		return DRIVER_CLOCK;
	return of_cpu * DRIVER_FACTOR <= of_time ? DRIVER_LOAD : DRIVER_UNKNOWN;
}

static bool significant(const struct growth *to, double size)
{
	return to->growth_bytes >= MAX_OF(LIVES_GROWTH_MIN, SHARE_MIN * size);
}

static enum growth_shape shape_of(struct gathered *g, const struct growth *to)
{
	double size = median(g->size, g->lives);
	double early;
	double late;

	if (g->total > 0 && to->burst_bytes >= SHARE_MIN * size &&
	    g->bursts >= BURST_SHARE * g->total)
		return GROWTH_BURST;
	early = median(g->early, g->n_early);
	late = median(g->late, g->n_late);
	if (early * (double)to->span_s > LIVES_GROWTH_MIN && late < LATE_SHARE * early)
		return GROWTH_WARM_UP;
	if (!significant(to, size))
		return GROWTH_STEADY;
	return MAX_OF(to->r2, isfinite(to->r2_cpu) ? to->r2_cpu : 0) >= LINE_R2 ? GROWTH_GRADUAL
										: GROWTH_ERRATIC;
}

/* What agents claim may be more than there is a number for. */
static int64_t whole(double v)
{
	return (int64_t)MIN_OF(MAX_OF(v, -9e18), 9e18);
}

static void put_lives(char out[64], const struct growth *g)
{
	if (g->restarts)
		snprintf(out, 64, "%zu restart%s", g->restarts, g->restarts == 1 ? "" : "s");
	else
		snprintf(out, 64, "no restart");
}

static void put_sentence(struct growth *g)
{
	char amount[STR_UNIT_SIZE];
	char lives[64];
	const char *driver = drivers[g->driver].text;

	put_lives(lives, g);
	switch (g->shape) {
	case GROWTH_GRADUAL:
		snprintf(g->sentence, sizeof(g->sentence), "leaks %s/h, %s, r2 %.2f%s%s",
			 str_bytes(amount, whole(g->bytes_per_hour)), lives,
			 g->driver == DRIVER_LOAD ? g->r2_cpu : g->r2, *driver ? ", " : "", driver);
		return;
	case GROWTH_BURST:
		snprintf(g->sentence, sizeof(g->sentence),
			 "grew by %s at one moment and stayed so, %s",
			 str_bytes(amount, whole(g->burst_bytes)), lives);
		return;
	case GROWTH_ERRATIC:
		snprintf(g->sentence, sizeof(g->sentence),
			 "grows by %s in a life, but not along a line (r2 %.2f), %s",
			 str_bytes(amount, whole(g->growth_bytes)), g->r2, lives);
		return;
	case GROWTH_UNKNOWN:
	case GROWTH_STEADY:
	case GROWTH_WARM_UP:
	case GROWTH_SHAPES:
		break;
	}
	snprintf(g->sentence, sizeof(g->sentence), "%s, %s", shapes[g->shape].text, lives);
}

static void judge(struct gathered *g, struct growth *to)
{
	to->lives = g->lives;
	if (!g->n || to->span_s * USEC_PER_SEC < SPAN_MIN_US)
		return;
	to->bytes_per_hour = median(g->slopes, g->n) * HOUR_S;
	to->r2 = r2_of(g->m.tt, g->m.bb, g->m.tb);
	to->growth_bytes = median(g->grown, g->lives);
	if (g->m.cpu && g->m.cc > 0) {
		to->r2_cpu = r2_of(g->m.cc, g->m.bb, g->m.cb);
		to->bytes_per_cpu_second = g->m.cb / g->m.cc;
	}
	to->shape = shape_of(g, to);
	if (to->shape == GROWTH_GRADUAL)
		to->driver = driver_of(to->r2, to->r2_cpu);
	if (to->shape != GROWTH_BURST) {
		to->burst_bytes = 0;
		to->burst_us = 0;
	}
}

int lives_judge(const struct lives *l, struct growth *ret)
{
	size_t pairs = MAX_OF(l->n, (size_t)1) * (LIFE_POINTS * (LIFE_POINTS - 1) / 2);
	auto_free double *slopes = calloc(3 * pairs, sizeof(*slopes));
	struct gathered g = {.slopes = slopes, .m = {.cpu = true}};

	if (!slopes)
		return -ENOMEM;
	g.early = slopes + pairs;
	g.late = g.early + pairs;
	*ret = (struct growth){.bytes_per_hour = NAN, .r2_cpu = NAN, .bytes_per_cpu_second = NAN};
	count_restarts(l, ret);
	for (size_t i = 0; i < l->n; i++)
		if (l->life[i].n >= LIFE_MIN)
			gather_life(&g, ret, &l->life[i]);
	judge(&g, ret);
	put_sentence(ret);
	return 0;
}
