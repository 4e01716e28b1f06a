/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/python.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "proto/python.h"

static const enum metric metric_of[PYTHON_SERIES] = {
#define X(METRIC) METRIC_##METRIC,
	PYTHON_HISTORY_LIST(X)
#undef X
};

static void census_free(struct python_census **c)
{
	if (!*c)
		return;
	for (unsigned i = 0; i < (*c)->n; i++)
		free((*c)->types[i].name);
	free(*c);
	*c = NULL;
}

struct python *python_new(void)
{
	return calloc(1, sizeof(struct python));
}

void python_free(struct python **p)
{
	if (!*p)
		return;
	census_free(&(*p)->base);
	census_free(&(*p)->last);
	free(*p);
	*p = NULL;
}

bool python_told(const int64_t v[METRIC_COUNT])
{
	return v[METRIC_GC0] != METRIC_ABSENT || v[METRIC_PYTHON_STATE] == PYTHON_READABLE;
}

/* ---- history ---- */

/* Every second point goes, the newest stays. */
static void halve(struct python_history *h)
{
	unsigned kept = 0;

	for (unsigned i = (h->n + 1) % 2; i < h->n; i += 2)
		h->points[kept++] = h->points[i];
	h->n = kept;
	h->step_us *= 2;
}

static void set_point(struct python_point *p, const int64_t v[METRIC_COUNT], int64_t t_us)
{
	p->t_us = t_us;
	for (unsigned s = 0; s < PYTHON_SERIES; s++)
		p->v[s] = v[metric_of[s]];
}

void python_take(struct python *p, const int64_t v[METRIC_COUNT], int64_t t_us)
{
	struct python_history *h = &p->history;

	if (!h->step_us)
		h->step_us = PYTHON_STEP_MIN_US;
	if (h->n && t_us < h->points[h->n - 1].t_us)
		return;
	if (h->n && t_us - h->began_us < h->step_us) {
		set_point(&h->points[h->n - 1], v, t_us);
		return;
	}
	if (h->n == PYTHON_POINTS && h->step_us < PYTHON_STEP_MAX_US)
		halve(h);
	if (h->n == PYTHON_POINTS) {
		h->n--;
		memmove(h->points, h->points + 1, h->n * sizeof(h->points[0]));
	}
	h->began_us = t_us;
	set_point(&h->points[h->n++], v, t_us);
}

bool python_added(const struct python_history *h, enum python_series s, int64_t span_us,
		  int64_t *ret_added, int64_t *ret_span_us)
{
	int64_t added = 0;
	int64_t before = METRIC_ABSENT;
	int64_t from = 0;
	int64_t to = 0;

	for (unsigned i = 0; i < h->n; i++) {
		const struct python_point *p = &h->points[i];
		int64_t v = p->v[s];

		if (v == METRIC_ABSENT || p->t_us < h->points[h->n - 1].t_us - span_us)
			continue;
		if (before == METRIC_ABSENT)
			from = p->t_us;
		else
			added += v >= before ? v - before : v;
		before = v;
		to = p->t_us;
	}
	if (before == METRIC_ABSENT || to <= from)
		return false;
	*ret_added = added;
	*ret_span_us = to - from;
	return true;
}

/* ---- censuses ---- */

static struct python_census *census_copy(const struct wire_census *c, int64_t census_id,
					 int64_t t_us)
{
	struct python_census *to = calloc(1, sizeof(*to));

	if (!to)
		return NULL;
	to->census_id = census_id;
	to->t_us = t_us;
	to->method = c->method;
	to->objects = (int64_t)c->objects;
	to->bytes = (int64_t)c->bytes;
	to->types_total = c->types_total;
	memcpy(to->parts, c->parts, sizeof(to->parts));
	for (size_t i = 0; i < MIN_OF(c->n_types, (size_t)PYTHON_TYPES); i++) {
		struct python_type *t = &to->types[i];

		t->name = strdup(c->types[i].name);
		if (!t->name) {
			census_free(&to);
			return NULL;
		}
		t->count = (int64_t)c->types[i].count;
		t->bytes = (int64_t)c->types[i].bytes;
		to->n++;
	}
	return to;
}

void python_census(struct python *p, const struct wire_census *c, int64_t census_id, int64_t t_us)
{
	const struct python_census *newest = p->last ? p->last : p->base;
	struct python_census *fresh;

	if (newest && t_us <= newest->t_us)
		return;
	fresh = census_copy(c, census_id, t_us);
	if (!fresh)
		return;
	if (!p->base) {
		p->base = fresh;
		return;
	}
	if (p->last && t_us - p->base->t_us > PYTHON_BASE_MAX_US) {
		census_free(&p->base);
		p->base = take_ptr(p->last);
	}
	census_free(&p->last);
	p->last = fresh;
}
