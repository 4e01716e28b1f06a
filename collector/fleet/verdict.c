/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/verdict.h"

#include <math.h>
#include <string.h>

#include "collector/rule/trend.h"
#include "common/clock.h"

#define POINTS_MIN 5
#define SPAN_MIN_S 60.0
#define KIB        1024.0

static int64_t bytes(int64_t kib)
{
	return kib == METRIC_ABSENT ? LEAK_ABSENT : MIN_OF(kib, INT64_MAX / 1024) * 1024;
}

/* The points that have the figure, in seconds and bytes. */
static size_t points_of(const struct python_history *h, enum python_series s,
			struct trend_point to[PYTHON_POINTS])
{
	size_t n = 0;

	for (unsigned i = 0; i < h->n; i++)
		if (h->v[s][i] != METRIC_ABSENT)
			to[n++] = (struct trend_point){
				.t = (double)(h->t_us[i] - h->t_us[0]) / USEC_PER_SEC,
				.v = (double)h->v[s][i] * KIB,
			};
	return n;
}

/* What a robust line gains over all points; NAN when they are too few. */
static double growth_of(const struct python_history *h, enum python_series s, double *ret_span)
{
	struct trend_point p[PYTHON_POINTS];
	size_t n = points_of(h, s, p);
	double span = n ? p[n - 1].t - p[0].t : 0;

	if (n < POINTS_MIN || span < SPAN_MIN_S)
		return NAN;
	if (ret_span)
		*ret_span = span;
	return trend_theil_sen(p, n) * span;
}

static void set_shape(struct leak_evidence *e, const struct python_history *h)
{
	struct trend_point p[PYTHON_POINTS];
	size_t n = points_of(h, PYTHON_OF_RSS, p);
	size_t half = n / 2;
	double early;

	if (n < 2 * POINTS_MIN)
		return;
	e->rss_r2 = trend_r2(p, n);
	early = trend_theil_sen(p, half);
	if (early > 0)
		e->late_share = trend_theil_sen(p + half, n - half) / early;
}

static void set_added(const struct python_history *h, enum python_series s, int64_t *to)
{
	int64_t added;
	int64_t span;

	if (python_added(h, s, INT64_MAX / 2, &added, &span))
		*to = added;
}

static void set_history(struct leak_evidence *e, const struct python_history *h)
{
	e->rss_growth = growth_of(h, PYTHON_OF_RSS, &e->span_s);
	e->anon_growth = growth_of(h, PYTHON_OF_ANON, NULL);
	e->file_growth = growth_of(h, PYTHON_OF_FILE, NULL);
	e->shmem_growth = growth_of(h, PYTHON_OF_SHMEM, NULL);
	set_shape(e, h);
	set_added(h, PYTHON_OF_GC0, &e->gc_collections[0]);
	set_added(h, PYTHON_OF_GC1, &e->gc_collections[1]);
	set_added(h, PYTHON_OF_GC2, &e->gc_collections[2]);
	set_added(h, PYTHON_OF_COLLECTED, &e->collected);
	set_added(h, PYTHON_OF_UNCOLLECTABLE, &e->uncollectable);
}

static const struct python_type *find_type(const struct python_census *c, const char *name)
{
	for (unsigned i = 0; i < c->n; i++)
		if (strcmp(c->types[i].name, name) == 0)
			return &c->types[i];
	return NULL;
}

static void insert(struct leak_type *to, unsigned *n, unsigned max, const struct leak_type *t)
{
	unsigned at = *n;

	while (at > 0 && to[at - 1].bytes_growth < t->bytes_growth)
		at--;
	if (at == max)
		return;
	*n = MIN_OF(*n + 1, max);
	memmove(&to[at + 1], &to[at], (*n - at - 1) * sizeof(*to));
	to[at] = *t;
}

/* Of a type that the base does not list it is known that there was less of it than of the smallest
 * one there. */
unsigned verdict_types(const struct python *p, struct leak_type *to, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; p->last && i < p->last->n; i++) {
		const struct python_type *t = &p->last->types[i];
		const struct python_type *before = find_type(p->base, t->name);
		struct leak_type grown = {.name = t->name,
					  .count_growth = t->count,
					  .bytes_growth = t->bytes};

		if (before) {
			grown.count_growth -= before->count;
			grown.bytes_growth -= before->bytes;
		} else if (p->base->n && p->base->n < p->base->types_total) {
			grown.bytes_growth -= p->base->types[p->base->n - 1].bytes;
		}
		if (grown.bytes_growth > 0)
			insert(to, &n, max, &grown);
	}
	return n;
}

static void set_censuses(struct leak_evidence *e, const struct python *p)
{
	const struct python_census *now = p->last ? p->last : p->base;

	if (!now)
		return;
	e->objects = now->objects;
	e->objects_bytes = now->bytes;
	memcpy(e->parts, now->parts, sizeof(e->parts));
	if (now == p->base)
		return;
	e->base_objects = p->base->objects;
	e->base_objects_bytes = p->base->bytes;
	memcpy(e->base_parts, p->base->parts, sizeof(e->base_parts));
	e->census_span_s = (double)(now->t_us - p->base->t_us) / USEC_PER_SEC;
	e->counts_are_exact =
		now->method != CENSUS_METHOD_LIVE && p->base->method != CENSUS_METHOD_LIVE;
	e->n_types = verdict_types(p, e->types, LEAK_TYPES);
}

bool verdict_evidence(const struct host *h, const struct process *p, struct leak_evidence *ret)
{
	if (!p->python)
		return false;
	leak_evidence_init(ret);
	ret->rss = bytes(p->v[METRIC_RSS]);
	ret->anon = bytes(p->v[METRIC_ANON]);
	ret->file = bytes(p->v[METRIC_FILE]);
	ret->shmem = bytes(p->v[METRIC_SHMEM]);
	ret->swap = bytes(p->v[METRIC_SWAP]);
	ret->limit = bytes(registry_limit_of(h, p));
	if (p->v[METRIC_PYTHON_VERSION] > 0 && p->v[METRIC_PYTHON_VERSION] <= UINT32_MAX)
		ret->version = (uint32_t)p->v[METRIC_PYTHON_VERSION];
	if (p->v[METRIC_GC_ENABLED] != METRIC_ABSENT)
		ret->gc_enabled = p->v[METRIC_GC_ENABLED];
	if (p->v[METRIC_GC_THRESHOLD0] != METRIC_ABSENT)
		ret->threshold0 = p->v[METRIC_GC_THRESHOLD0];
	set_history(ret, &p->python->history);
	set_censuses(ret, p->python);
	return true;
}

bool verdict_of(const struct host *h, const struct process *p, struct leak_verdict *ret)
{
	struct leak_evidence e;

	if (!verdict_evidence(h, p, &e))
		return false;
	leak_judge(&e, ret);
	return true;
}
