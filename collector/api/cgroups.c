/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/api/resource.h"
#include "collector/api/view.h"

/* A place in the list: largest working set first, then by id. */
struct place {
	int64_t kib; /* METRIC_ABSENT last */
	int64_t id;
};

static struct place place_of(const struct cgroup *g)
{
	return (struct place){.kib = g->v[CGROUP_METRIC_WORKING_SET], .id = g->cgroup_id};
}

static int compare(const struct place *a, const struct place *b)
{
	if (a->kib != b->kib)
		return a->kib < b->kib ? 1 : -1;
	return (a->id > b->id) - (a->id < b->id);
}

static int by_place(const void *a, const void *b)
{
	const struct place x = place_of(*(const struct cgroup *const *)a);
	const struct place y = place_of(*(const struct cgroup *const *)b);

	return compare(&x, &y);
}

/* False when the call has been ended. */
static bool take_cursor(struct call *c, struct place *ret, bool *ret_given)
{
	const char *text = query_get(&c->query, "cursor");
	int end = 0;

	*ret_given = text;
	if (!text || (sscanf(text, "%" SCNd64 ".%" SCNd64 "%n", &ret->kib, &ret->id, &end) == 2 &&
		      text[end] == '\0'))
		return true;
	call_fail(c, 400, "cursor '%.64s' is not one that was given here", text);
	return false;
}

static bool wanted(const struct cgroup *g, const char *runtime, const char *q)
{
	return (!runtime || strcmp(g->runtime, runtime) == 0) &&
	       (!q || strcasestr(g->path, q) || strcasestr(g->name, q));
}

/* Those that are asked for and come after the cursor. NULL: the call has been ended. */
static const struct cgroup **collect(struct call *c, const struct host *h, size_t *ret_n)
{
	const char *runtime = query_get(&c->query, "runtime");
	const char *q = query_get(&c->query, "q");
	const struct cgroup **list;
	struct place after;
	bool given;

	if (!take_cursor(c, &after, &given))
		return NULL;
	list = calloc(HASH_COUNT(h->cgroups) + 1, sizeof(const struct cgroup *));
	if (!list) {
		call_fail(c, 503, "out of memory");
		return NULL;
	}
	*ret_n = 0;
	for (const struct cgroup *g = h->cgroups; g; g = g->hh.next) {
		const struct place at = place_of(g);

		if (wanted(g, runtime, q) && (!given || compare(&at, &after) > 0))
			list[(*ret_n)++] = g;
	}
	qsort(list, *ret_n, sizeof(const struct cgroup *), by_place);
	return list;
}

void host_cgroups(struct call *c)
{
	struct host *h = call_host(c, c->params[0]);
	auto_free const struct cgroup **list = NULL;
	char cursor[48];
	size_t n;
	size_t shown;

	if (!h || !call_limit(c))
		return;
	list = collect(c, h, &n);
	if (!list)
		return;
	shown = MIN_OF(n, (size_t)c->limit);
	call_list(c);
	for (size_t i = 0; i < shown; i++)
		view_cgroup(&c->json, h, list[i], c->now_us);
	if (n > shown)
		snprintf(cursor, sizeof(cursor), "%" PRId64 ".%" PRId64,
			 place_of(list[shown - 1]).kib, list[shown - 1]->cgroup_id);
	call_list_end(c, n > shown ? cursor : NULL);
}
