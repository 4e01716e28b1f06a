/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/gctotals.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct gctotal *find_or_add(struct gctotal **all, const char *service)
{
	struct gctotal *t;

	HASH_FIND_STR(*all, service, t);
	if (t || HASH_COUNT(*all) >= GCTOTALS_MAX)
		return t;
	t = calloc(1, sizeof(*t));
	if (t)
		t->service = strdup(service);
	if (!t || !t->service) {
		free(t);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, *all, t->service, strlen(t->service), t);
	if (t->hh.tbl)
		return t;
	free(t->service);
	free(t);
	return NULL;
}

static uint64_t risen(int64_t before, int64_t now)
{
	return before == METRIC_ABSENT || now == METRIC_ABSENT || now < before
		       ? 0
		       : (uint64_t)(now - before);
}

static bool same(const int64_t before[METRIC_COUNT], const int64_t now[METRIC_COUNT])
{
	return memcmp(before + METRIC_GC0, now + METRIC_GC0, GCTOTALS_GENERATIONS * sizeof(*now)) ==
		       0 &&
	       before[METRIC_COLLECTED] == now[METRIC_COLLECTED] &&
	       before[METRIC_UNCOLLECTABLE] == now[METRIC_UNCOLLECTABLE];
}

void gctotals_add(struct gctotal **all, const char *service, const int64_t before[METRIC_COUNT],
		  const int64_t now[METRIC_COUNT])
{
	struct gctotal *t;

	/* what stands still was told before */
	if (now[METRIC_GC0] == METRIC_ABSENT || same(before, now))
		return;
	t = find_or_add(all, service);
	if (!t)
		return;
	for (unsigned i = 0; i < GCTOTALS_GENERATIONS; i++)
		t->collections[i] += risen(before[METRIC_GC0 + i], now[METRIC_GC0 + i]);
	t->collected += risen(before[METRIC_COLLECTED], now[METRIC_COLLECTED]);
	t->uncollectable += risen(before[METRIC_UNCOLLECTABLE], now[METRIC_UNCOLLECTABLE]);
}

void gctotals_free(struct gctotal **all)
{
	struct gctotal *t;
	struct gctotal *next;

	HASH_ITER (hh, *all, t, next) {
		HASH_DEL(*all, t);
		free(t->service);
		free(t);
	}
}
