/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "collector/api/api.h"
#include "collector/api/cells.h"
#include "collector/api/resource.h"
#include "collector/api/services.h"
#include "collector/api/view.h"
#include "common/str.h"

static int by_id(const void *a, const void *b)
{
	const struct host *const *x = a;
	const struct host *const *y = b;

	return ((*x)->host_id > (*y)->host_id) - ((*x)->host_id < (*y)->host_id);
}

/* Hosts with an id above after, ascending. NULL without memory. */
static struct host **collect(struct registry *r, int32_t after, size_t *ret_n)
{
	struct host **list = calloc(HASH_COUNT(r->hosts) + 1, sizeof(struct host *));
	struct host *h;
	struct host *next;
	size_t n = 0;

	if (!list)
		return NULL;
	HASH_ITER (hh, r->hosts, h, next)
		if (h->host_id > after)
			list[n++] = h;
	qsort(list, n, sizeof(*list), by_id);
	*ret_n = n;
	return list;
}

static const struct cells_list of_cells = {.path = "/hosts",
					   .key = "id",
					   .ascending = true,
					   .order = CELLS_DIGITS};

void host_list(struct call *c)
{
	const char *include = query_get(&c->query, "include");
	auto_free struct host **list = NULL;
	char cursor[24];
	int64_t after;
	size_t n = 0;
	size_t limit;

	if (cells_take(c, &of_cells))
		return;
	if (!call_limit(c) || !call_query_int(c, "cursor", 0, 0, INT32_MAX, &after))
		return;
	if (include && strcmp(include, "spark") != 0) {
		call_fail(c, 400, "parameter 'include' can only be 'spark', not '%.64s'", include);
		return;
	}
	list = collect(c->api->ctx.registry, (int32_t)after, &n);
	if (!list) {
		call_fail(c, 503, "out of memory");
		return;
	}
	limit = (size_t)c->limit;
	call_list(c);
	for (size_t i = 0; i < n && i < limit; i++)
		view_host(&c->json, list[i], c->now_us, include ? VIEW_SPARK : 0);
	if (n > limit)
		snprintf(cursor, sizeof(cursor), "%d", list[limit - 1]->host_id);
	call_list_end(c, n > limit ? cursor : NULL);
}

void host_get(struct call *c)
{
	struct host *h = call_host(c, c->params[0]);

	if (!h)
		return;
	view_host(&c->json, h, c->now_us, VIEW_SPARK | VIEW_POSTURE);
	call_reply(c, 200);
}

void host_services(struct call *c)
{
	struct host *h = call_host(c, c->params[0]);
	struct service_sum *list;
	size_t n;

	if (!h)
		return;
	list = services_of(h, c->now_us, &n);
	if (!list) {
		call_fail(c, 503, "out of memory");
		return;
	}
	call_list(c);
	for (size_t i = 0; i < n; i++)
		view_service(&c->json, h, &list[i]);
	free(list);
	call_list_end(c, NULL);
}
