/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "collector/api/api.h"
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

void host_list(struct call *c)
{
	const char *include = query_get(&c->query, "include");
	auto_free struct host **list = NULL;
	char cursor[24];
	int64_t after;
	size_t n = 0;
	size_t limit;

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

static void write_containers(struct json_writer *w, const struct service_sum *s)
{
	jw_key(w, "containers");
	jw_array(w);
	for (size_t i = 0; i < s->n_containers; i++)
		jw_str(w, s->containers[i]);
	jw_array_end(w);
}

static void write_service(struct json_writer *w, const struct host *h, const struct service_sum *s)
{
	jw_object(w);
	jw_k_str(w, "service", s->name);
	jw_k_id(w, "host_id", h->host_id);
	jw_k_int(w, "processes", s->processes);
	jw_k_int(w, "workers", s->workers);
	jw_k_id(w, "main_process_id", s->main->proc_id);
	jw_k_time(w, "since", s->oldest_us);
	jw_k_time(w, "last_start", s->newest_us);
	jw_k_int(w, "rss_bytes", s->rss_bytes);
	view_number(w, "pss_bytes", s->pss_known ? s->pss_bytes : -1);
	jw_k_int(w, "anon_bytes", s->anon_bytes);
	jw_k_int(w, "swap_bytes", s->swap_bytes);
	view_number(w, "limit_bytes", s->limit_bytes);
	view_text(w, "limited_by", s->limited_by);
	write_containers(w, s);
	jw_k_num(w, "growth_bytes_per_hour", s->growth);
	jw_object_end(w);
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
		write_service(&c->json, h, &list[i]);
	free(list);
	call_list_end(c, NULL);
}
