/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/leak.h"

#include <math.h>
#include <string.h>

#include "common/check.h"

#define SAMPLES_MIN 5

void leak_evidence_init(struct leak_evidence *e)
{
	*e = (struct leak_evidence){
		.rss = LEAK_ABSENT,
		.anon = LEAK_ABSENT,
		.file = LEAK_ABSENT,
		.shmem = LEAK_ABSENT,
		.swap = LEAK_ABSENT,
		.limit = LEAK_ABSENT,
		.gc_enabled = LEAK_ABSENT,
		.threshold0 = LEAK_ABSENT,
		.span_s = NAN,
		.rss_growth = NAN,
		.anon_growth = NAN,
		.file_growth = NAN,
		.shmem_growth = NAN,
		.rss_r2 = NAN,
		.late_share = NAN,
		.gc_collections = {LEAK_ABSENT, LEAK_ABSENT, LEAK_ABSENT},
		.collected = LEAK_ABSENT,
		.uncollectable = LEAK_ABSENT,
		.objects = LEAK_ABSENT,
		.objects_bytes = LEAK_ABSENT,
		.census_span_s = NAN,
		.base_objects = LEAK_ABSENT,
		.base_objects_bytes = LEAK_ABSENT,
	};
	for (int i = 0; i < HEAP_PART_COUNT; i++) {
		e->parts[i] = HEAP_ABSENT;
		e->base_parts[i] = HEAP_ABSENT;
	}
}

/* How straight the RSS goes, and whether its later half still does. */
static void take_shape(struct leak_evidence *e, const struct trend_point *p, size_t n)
{
	size_t half = n / 2;
	double early;

	e->span_s = p[n - 1].t - p[0].t;
	if (n < 2 * SAMPLES_MIN)
		return;
	e->rss_r2 = trend_r2(p, n);
	early = trend_theil_sen(p, half);
	if (early > 0)
		e->late_share = trend_theil_sen(p + half, n - half) / early;
}

void leak_take_samples(struct leak_evidence *e, enum leak_series s, const struct trend_point *p,
		       size_t n)
{
	double *const growth[LEAK_SERIES] = {
		[LEAK_OF_RSS] = &e->rss_growth,
		[LEAK_OF_ANON] = &e->anon_growth,
		[LEAK_OF_FILE] = &e->file_growth,
		[LEAK_OF_SHMEM] = &e->shmem_growth,
	};

	if (n < SAMPLES_MIN || p[n - 1].t <= p[0].t)
		return;
	*growth[s] = trend_theil_sen(p, n) * (p[n - 1].t - p[0].t);
	if (s == LEAK_OF_RSS)
		take_shape(e, p, n);
}

static const struct leak_count *find_type(const struct leak_counts *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->rows[i].name, name) == 0)
			return &c->rows[i];
	return NULL;
}

static void insert(struct leak_evidence *e, const struct leak_type *t)
{
	unsigned at = e->n_types;

	while (at > 0 && e->types[at - 1].bytes_growth < t->bytes_growth)
		at--;
	if (at == LEAK_TYPES)
		return;
	e->n_types = MIN_OF(e->n_types + 1, (unsigned)LEAK_TYPES);
	memmove(&e->types[at + 1], &e->types[at], (e->n_types - at - 1) * sizeof(*e->types));
	e->types[at] = *t;
}

/* Of a type that the base does not list it is known that there was less of it than of the smallest
 * one there. */
void leak_take_types(struct leak_evidence *e, const struct leak_counts *now,
		     const struct leak_counts *base)
{
	for (size_t i = 0; i < now->n; i++) {
		const struct leak_count *t = &now->rows[i];
		const struct leak_count *before = find_type(base, t->name);
		struct leak_type grown = {.name = t->name,
					  .count_growth = t->count,
					  .bytes_growth = t->bytes};

		if (before) {
			grown.count_growth -= before->count;
			grown.bytes_growth -= before->bytes;
		} else if (base->n && base->n < base->total) {
			grown.bytes_growth -= base->rows[base->n - 1].bytes;
		}
		if (grown.bytes_growth > 0)
			insert(e, &grown);
	}
}
