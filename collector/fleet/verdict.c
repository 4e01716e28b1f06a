/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/verdict.h"

#include <string.h>

#include "common/clock.h"

#define SPAN_MIN_S 60.0
#define KIB        1024.0

static int64_t bytes(int64_t kib)
{
	return kib == METRIC_ABSENT ? LEAK_ABSENT : MIN_OF(kib, INT64_MAX / 1024) * 1024;
}

/* The points that have the figure, in seconds and bytes. */
static void set_growth(struct leak_evidence *e, enum leak_series to, const struct python_history *h,
		       enum python_series from)
{
	struct trend_point p[PYTHON_POINTS];
	size_t n = 0;

	for (unsigned i = 0; i < h->n; i++)
		if (h->points[i].v[from] != METRIC_ABSENT)
			p[n++] = (struct trend_point){
				.t = (double)(h->points[i].t_us - h->points[0].t_us) / USEC_PER_SEC,
				.v = (double)h->points[i].v[from] * KIB,
			};
	if (n && p[n - 1].t - p[0].t >= SPAN_MIN_S)
		leak_take_samples(e, to, p, n);
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
	set_growth(e, LEAK_OF_RSS, h, PYTHON_OF_RSS);
	set_growth(e, LEAK_OF_ANON, h, PYTHON_OF_ANON);
	set_growth(e, LEAK_OF_FILE, h, PYTHON_OF_FILE);
	set_growth(e, LEAK_OF_SHMEM, h, PYTHON_OF_SHMEM);
	set_added(h, PYTHON_OF_GC0, &e->gc_collections[0]);
	set_added(h, PYTHON_OF_GC1, &e->gc_collections[1]);
	set_added(h, PYTHON_OF_GC2, &e->gc_collections[2]);
	set_added(h, PYTHON_OF_COLLECTED, &e->collected);
	set_added(h, PYTHON_OF_UNCOLLECTABLE, &e->uncollectable);
}

static struct leak_counts counts_of(const struct python_census *c,
				    struct leak_count rows[PYTHON_TYPES])
{
	for (unsigned i = 0; i < c->n; i++)
		rows[i] =
			(struct leak_count){c->types[i].name, c->types[i].count, c->types[i].bytes};
	return (struct leak_counts){rows, c->n, c->types_total};
}

static void set_types(struct leak_evidence *e, const struct python *p)
{
	struct leak_count now[PYTHON_TYPES];
	struct leak_count before[PYTHON_TYPES];
	const struct leak_counts last = counts_of(p->last, now);
	const struct leak_counts base = counts_of(p->base, before);

	leak_take_types(e, &last, &base);
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
	set_types(e, p);
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
