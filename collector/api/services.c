/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/services.h"

#include <math.h>
#include <string.h>

#include "collector/api/view.h"

static int64_t bytes_of(const struct process *p, enum metric m)
{
	return p->v[m] == METRIC_ABSENT ? 0 : p->v[m] * 1024;
}

static int by_name(const void *a, const void *b)
{
	const struct process *const *x = a;
	const struct process *const *y = b;

	return strcmp((*x)->service, (*y)->service);
}

static int by_rss(const void *a, const void *b)
{
	const struct service_sum *x = a;
	const struct service_sum *y = b;

	return (x->rss_bytes < y->rss_bytes) - (x->rss_bytes > y->rss_bytes);
}

static void add(struct service_sum *s, const struct process *p, int64_t now_us)
{
	double growth = view_growth(p, now_us);

	s->name = p->service;
	s->processes++;
	s->rss_bytes += bytes_of(p, METRIC_RSS);
	s->anon_bytes += bytes_of(p, METRIC_ANON);
	s->swap_bytes += bytes_of(p, METRIC_SWAP);
	if (isfinite(growth))
		s->growth += growth;
	if (!s->largest || bytes_of(p, METRIC_RSS) > bytes_of(s->largest, METRIC_RSS))
		s->largest = p;
}

struct service_sum *services_of(const struct host *h, int64_t now_us, size_t *ret_n)
{
	size_t count = HASH_COUNT(h->processes);
	const struct process **list = calloc(count + 1, sizeof(const struct process *));
	struct service_sum *sums = calloc(count + 1, sizeof(*sums));
	struct process *p;
	struct process *next;
	size_t n = 0;
	size_t services = 0;

	if (!list || !sums) {
		free(list);
		free(sums);
		return NULL;
	}
	HASH_ITER (hh, h->processes, p, next)
		list[n++] = p;
	qsort(list, n, sizeof(*list), by_name);
	for (size_t i = 0; i < n; i++) {
		services += i == 0 || strcmp(list[i]->service, list[i - 1]->service) != 0;
		add(&sums[services - 1], list[i], now_us);
	}
	qsort(sums, services, sizeof(*sums), by_rss);
	free(list);
	*ret_n = services;
	return sums;
}

const struct process *services_largest(const struct host *h, const char *service)
{
	const struct process *best = NULL;
	struct process *p;
	struct process *next;

	HASH_ITER (hh, h->processes, p, next)
		if (strcmp(p->service, service) == 0 &&
		    (!best || bytes_of(p, METRIC_RSS) > bytes_of(best, METRIC_RSS)))
			best = p;
	return best;
}
