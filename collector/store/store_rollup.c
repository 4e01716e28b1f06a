/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Figures of a sealed window as rows: many processes of a host in one (rollup_window;
 * docs/adr/0029), and by itself in rollup_1h each that has a figure which no int4 holds.
 */
#include <errno.h>
#include <math.h>
#include <stddef.h>

#include "collector/store/store_inner.h"
#include "common/clock.h"

#define HOUR_US   (3600 * USEC_PER_SEC)
#define GROUP_MAX 64 /* processes in a row: one of 40 or 50 compresses to a quarter of a page */
/* A slope below that, KiB per hour, is the noise of its arithmetic. */
#define SLOPE_LEAST 1e-3
#define ROW_COLUMNS 20
#define OLD_COLUMNS 18

#define ROLLUP_FIGURE(field, over)                           \
	{                                                    \
		offsetof(struct window_figures, field), over \
	}

/* In the order of the table's columns; over: kept as what it is above the lowest RSS, of which what
 * stands still is all zeros. */
static const struct {
	size_t offset;
	bool over;
} figures[] = {
	ROLLUP_FIGURE(rss_min, false),   ROLLUP_FIGURE(rss_max, true),
	ROLLUP_FIGURE(rss_avg, true),    ROLLUP_FIGURE(rss_first, true),
	ROLLUP_FIGURE(rss_last, true),   ROLLUP_FIGURE(anon_last, false),
	ROLLUP_FIGURE(swap_max, false),  ROLLUP_FIGURE(cpu_ms, false),
	ROLLUP_FIGURE(majflt, false),    ROLLUP_FIGURE(gc2, false),
	ROLLUP_FIGURE(collected, false), ROLLUP_FIGURE(uncollectable, false),
};

static int64_t figure(const struct seal_part *p, size_t i)
{
	const char *at = (const char *)&p->w.figures + figures[i].offset;

	return *(const int64_t *)(const void *)at;
}

/* As it is stored; fits() has seen that it can be. */
static int64_t stored(const struct seal_part *p, size_t i)
{
	int64_t v = figure(p, i);

	return v != METRIC_ABSENT && figures[i].over ? v - p->w.figures.rss_min : v;
}

static bool fits(const struct seal_part *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++) {
		int64_t v = figure(p, i);

		if (v == METRIC_ABSENT)
			continue;
		if (v < INT32_MIN || v > INT32_MAX)
			return false;
		if (figures[i].over && (p->w.figures.rss_min < 0 || v < p->w.figures.rss_min))
			return false;
	}
	return true;
}

static struct db_param or_null(int64_t v)
{
	return v == METRIC_ABSENT ? DB_P_NULL : DB_P_INT8(v);
}

static void put_fields(struct buf *b, const struct db_param *p, unsigned n)
{
	db_copy_row(b, n);
	for (unsigned i = 0; i < n; i++)
		db_copy_field(b, &p[i]);
}

/* ---- together ---- */

static struct db_param array_or_null(const int64_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (v[i] != METRIC_ABSENT)
			return DB_P_INT4S(v, n);
	return DB_P_NULL;
}

static void put_group(struct buf *b, const struct seal *l, const struct seal_part *const *group,
		      size_t n)
{
	int64_t procs[GROUP_MAX], samples[GROUP_MAX], values[ARRAY_SIZE(figures)][GROUP_MAX];
	double slopes[GROUP_MAX];
	struct db_param fields[ROW_COLUMNS] = {
		DB_P_TIME(l->t0_us),
		DB_P_INT4(group[0]->w.id.host_id),
		DB_P_INT2(group[0]->part),
		DB_P_INT8(group[0]->w.id.obj_id),
		DB_P_INT8(group[n - 1]->w.id.obj_id),
		DB_P_INT8S(procs, n),
		DB_P_INT4S(samples, n),
	};
	struct db_param *slope = &fields[ROW_COLUMNS - 1];

	*slope = DB_P_NULL;
	for (size_t i = 0; i < n; i++) {
		const struct window_figures *f = &group[i]->w.figures;

		procs[i] = group[i]->w.id.obj_id;
		samples[i] = (int64_t)group[i]->w.n;
		slopes[i] = f->has_slope ? f->rss_slope : NAN;
		if (fabs(slopes[i]) < SLOPE_LEAST)
			slopes[i] = 0;
		if (f->has_slope)
			*slope = DB_P_FLOAT4S(slopes, n);
		for (size_t k = 0; k < ARRAY_SIZE(figures); k++)
			values[k][i] = stored(group[i], k);
	}
	for (size_t k = 0; k < ARRAY_SIZE(figures); k++)
		fields[7 + k] = array_or_null(values[k], n);
	put_fields(b, fields, ROW_COLUMNS);
}

/* Groups of about the same size: a small rest would not be compressed. */
static void put_groups(struct buf *b, const struct seal *l, const struct seal_part *const *v,
		       size_t n)
{
	size_t groups = (n + GROUP_MAX - 1) / GROUP_MAX;

	for (size_t g = 0; g < groups; g++) {
		size_t from = n * g / groups, to = n * (g + 1) / groups;

		put_group(b, l, v + from, to - from);
	}
}

/* ---- alone ---- */

int store_rollup_parts(int64_t window_us)
{
	return (int)(INT16_MAX / MAX_OF(HOUR_US / window_us, 1));
}

static void put_alone(struct buf *b, const struct store *s, const struct seal_part *p)
{
	int64_t t0 = s->seal.t0_us, hour = window_start(HOUR_US, t0);
	int64_t window = (t0 - hour) / s->cfg.window_us;
	struct db_param fields[OLD_COLUMNS] = {
		DB_P_TIME(hour),
		DB_P_INT4(p->w.id.host_id),
		DB_P_INT8(p->w.id.obj_id),
		DB_P_INT2(window * store_rollup_parts(s->cfg.window_us) + p->part),
		DB_P_INT4((int64_t)p->w.n),
	};

	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		fields[5 + i] = or_null(figure(p, i));
	fields[OLD_COLUMNS - 1] =
		p->w.figures.has_slope ? DB_P_FLOAT8(p->w.figures.rss_slope) : DB_P_NULL;
	put_fields(b, fields, OLD_COLUMNS);
}

/* ---- a seal ---- */

/* The host's processes from parts[at] on; the index after them. Those of one 'part' are together:
 * each has its first chunk, some a second. */
static size_t put_host(const struct store *s, size_t at, const struct seal_part **v,
		       struct buf *together, struct buf *alone)
{
	const struct seal *l = &s->seal;
	int32_t host = l->parts[at].w.id.host_id;
	int64_t part = INT64_MAX, last = 0;
	size_t end = at;

	for (; end < l->n && l->parts[end].w.id.host_id == host; end++) {
		part = MIN_OF(part, l->parts[end].part);
		last = MAX_OF(last, l->parts[end].part);
	}
	for (; part <= last; part++) {
		size_t n = 0;

		for (size_t i = at; i < end; i++) {
			const struct seal_part *p = &l->parts[i];

			if (p->w.id.kind != SERIES_PROCESS || p->part != part)
				continue;
			if (fits(p))
				v[n++] = p;
			else
				put_alone(alone, s, p);
		}
		put_groups(together, l, v, n);
	}
	return end;
}

int store_rollup_rows(const struct store *s, struct buf *together, struct buf *alone)
{
	auto_free const struct seal_part **v = calloc(MAX_OF(s->seal.n, (size_t)1), sizeof(*v));
	size_t at = 0;

	if (!v)
		return -ENOMEM;
	db_copy_begin(together);
	db_copy_begin(alone);
	while (at < s->seal.n)
		at = put_host(s, at, v, together, alone);
	db_copy_end(together);
	db_copy_end(alone);
	return 0;
}
