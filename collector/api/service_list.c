/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collector/api/api.h"
#include "collector/api/cells.h"
#include "collector/api/resource.h"
#include "collector/api/services.h"
#include "collector/api/top.h"
#include "common/str.h"

#define UNKNOWN     (-1e300) /* stands last */
#define CURSOR_SIZE 1024

/* A service of a host with what the list is sorted by. */
struct ranked {
	const struct host *h;
	struct service_sum sum;
	double key;
};

/* Largest first; then by host and name, so that the order is total and a cursor can hold a place.
 */
static int by_key(const void *a, const void *b)
{
	const struct ranked *x = a;
	const struct ranked *y = b;

	if (x->key != y->key)
		return x->key < y->key ? 1 : -1;
	if (x->h->host_id != y->h->host_id)
		return x->h->host_id < y->h->host_id ? -1 : 1;
	return strcmp(x->sum.name, y->sum.name);
}

static double rss_of(const struct service_sum *s)
{
	return (double)s->rss_bytes;
}

static double pss_of(const struct service_sum *s)
{
	return s->pss_known ? (double)s->pss_bytes : UNKNOWN;
}

static double anon_of(const struct service_sum *s)
{
	return (double)s->anon_bytes;
}

static double swap_of(const struct service_sum *s)
{
	return (double)s->swap_bytes;
}

static double growth_of(const struct service_sum *s)
{
	return s->growth;
}

static double processes_of(const struct service_sum *s)
{
	return (double)s->processes;
}

/* By what a list can be sorted; the first is the preset. */
static const struct sort {
	const char *name;
	const char *key; /* the row's member */
	double (*of)(const struct service_sum *s);
} sorts[] = {
	{"rss", "rss_bytes", rss_of},
	{"pss", "pss_bytes", pss_of},
	{"anon", "anon_bytes", anon_of},
	{"swap", "swap_bytes", swap_of},
	{"growth", "growth_bytes_per_hour", growth_of},
	{"processes", "processes", processes_of},
};

/* What is asked for. */
struct wish {
	const struct sort *sort;
	const char *service;
	const char *q;
	bool paged; /* it goes on behind last, whose host is place */
	struct ranked last;
	struct host place;
};

/* NULL when the call has been ended. */
static const struct sort *sort_of(struct call *c)
{
	const char *text = query_get(&c->query, "sort");

	for (size_t i = 0; i < ARRAY_SIZE(sorts); i++)
		if (!text || strcmp(sorts[i].name, text) == 0)
			return &sorts[i];
	call_fail(c, 400, "cannot sort by '%.64s': rss, pss, anon, swap, growth or processes",
		  text);
	return NULL;
}

/* 'KEY:HOST_ID:NAME' of the last row of the page before; -EINVAL. */
static int parse_cursor(const char *text, struct wish *k)
{
	char number[16];
	const char *colon;
	int64_t id;
	char *end;

	k->last.key = strtod(text, &end);
	if (end == text || *end != ':' || isnan(k->last.key))
		return -EINVAL;
	colon = strchr(++end, ':');
	if (!colon || (size_t)(colon - end) >= sizeof(number))
		return -EINVAL;
	memcpy(number, end, (size_t)(colon - end));
	number[colon - end] = '\0';
	if (str_parse_int(number, &id) < 0 || id < 0 || id > INT32_MAX)
		return -EINVAL;
	k->place.host_id = (int32_t)id;
	k->last.sum.name = colon + 1;
	return 0;
}

/* The query; false when the call has been ended. */
static bool wish_of(struct call *c, struct wish *k)
{
	const char *cursor = query_get(&c->query, "cursor");

	*k = (struct wish){.service = query_get(&c->query, "service"),
			   .q = query_get(&c->query, "q"),
			   .paged = cursor != NULL};
	k->last.h = &k->place;
	if (!call_limit(c))
		return false;
	k->sort = sort_of(c);
	if (!k->sort)
		return false;
	if (!cursor || parse_cursor(cursor, k) == 0)
		return true;
	call_fail(c, 400, "cursor '%.64s' is not one that was given here", cursor);
	return false;
}

static int add_host(struct top *top, const struct wish *k, const struct host *h, int64_t now_us)
{
	size_t n = 0;
	auto_free struct service_sum *sums = services_of(h, now_us, &n);

	if (!sums)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct ranked row = {.h = h, .sum = sums[i], .key = k->sort->of(&sums[i])};

		if ((k->service && strcmp(row.sum.name, k->service) != 0) ||
		    (k->q && !strcasestr(row.sum.name, k->q)))
			continue;
		if (!k->paged || by_key(&row, &k->last) > 0)
			top_add(top, &row);
	}
	return 0;
}

static void reply(struct call *c, struct top *top)
{
	size_t end = MIN_OF(top->n, (size_t)c->limit);
	const struct ranked *row = NULL;
	char cursor[CURSOR_SIZE];

	top_sort(top);
	call_list(c);
	for (size_t i = 0; i < end; i++) {
		row = top_get(top, i);
		view_service(&c->json, row->h, &row->sum);
	}
	if (row && end < top->n)
		snprintf(cursor, sizeof(cursor), "%.17g:%d:%s", row->key, row->h->host_id,
			 row->sum.name);
	call_list_end(c, row && end < top->n ? cursor : NULL);
}

static void list(struct call *c, const struct wish *k)
{
	struct host *h;
	struct host *next;
	struct top top;
	/* one more tells whether there is a next page */
	int rc = top_init(&top, (size_t)c->limit + 1, sizeof(struct ranked), by_key);

	HASH_ITER (hh, c->api->ctx.registry->hosts, h, next)
		if (rc == 0)
			rc = add_host(&top, k, h, c->now_us);
	if (rc == 0)
		reply(c, &top);
	else
		call_fail(c, 503, "out of memory");
	top_fini(&top);
}

void service_list(struct call *c)
{
	struct cells_list of_cells = {.path = "/services", .order = CELLS_NUMBER};
	struct wish k;

	if (!wish_of(c, &k))
		return;
	(void)str_copy(of_cells.key, sizeof(of_cells.key), k.sort->key);
	if (!cells_take(c, &of_cells))
		list(c, &k);
}
