/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "collector/api/api.h"
#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/api/view.h"
#include "collector/store/store.h"
#include "collector/store/store_host.h"
#include "common/clock.h"
#include "proto/identity.h"

#define SPAN_PRESET_US  (6 * 3600 * USEC_PER_SEC)
#define POINTS_PRESET   1000
#define POINTS_MAX      10000
#define STEP_PER_SECOND 1000.0 /* times are written to the millisecond */

static void on_series(void *arg, int rc, const struct point *points, size_t n,
		      int64_t resolution_us, const struct error *err unused_arg)
{
	struct call *c = call_of(arg);
	const struct metric_info *m = &series_types[c->series.kind].infos[c->metric];
	double scale = metric_scale(m->unit);

	if (rc < 0) {
		call_fail_db(c, rc);
		return;
	}
	jw_object(&c->json);
	jw_k_str(&c->json, "metric", m->name);
	jw_k_str(&c->json, "unit", metric_unit_name(m->unit));
	jw_k_num(&c->json, "resolution_seconds", (double)resolution_us / USEC_PER_SEC);
	jw_key(&c->json, "points");
	jw_array(&c->json);
	for (size_t i = 0; i < n; i++) {
		int64_t ms = points[i].t_us / 1000;

		jw_array(&c->json);
		jw_num(&c->json, (double)ms / STEP_PER_SECOND);
		if (points[i].v == METRIC_ABSENT)
			jw_null(&c->json);
		else
			jw_num(&c->json, (double)points[i].v * scale);
		jw_array_end(&c->json);
	}
	jw_array_end(&c->json);
	jw_object_end(&c->json);
	call_reply(c, 200);
}

/* c->series says whose. */
static void ask(struct call *c)
{
	const char *name = query_get(&c->query, "metric");
	const char *step = query_get(&c->query, "step");
	const struct series_type *type = &series_types[c->series.kind];
	int64_t from;
	int64_t to;
	int64_t max;
	int rc;

	if (!name)
		name = type->infos[type->usual].name;
	c->metric = type->find(name);
	if (c->metric < 0) {
		call_fail(c, 400, "there is no metric '%.64s' of a %s", name, type->name);
		return;
	}
	if (step && strcmp(step, "auto") != 0) {
		call_fail(c, 400, "parameter 'step' can only be 'auto'; use max_points");
		return;
	}
	if (!call_query_time(c, "from", c->now_us - SPAN_PRESET_US, &from) ||
	    !call_query_time(c, "to", c->now_us + USEC_PER_SEC, &to) ||
	    !call_query_int(c, "max_points", POINTS_PRESET, 2, POINTS_MAX, &max))
		return;
	if (from >= to) {
		call_fail(c, 400, "parameter 'from' must be before 'to'");
		return;
	}
	rc = c->api->ctx.store && api_reader(c->api)
		     ? store_series(c->api->ctx.store, &c->series, (unsigned)c->metric, from, to,
				    (size_t)max, on_series, c)
		     : -ENOTCONN;
	if (rc == -ERANGE)
		call_fail(c, 400,
			  "'from' to 'to' is more than 65536 windows of samples: ask for less");
	else
		rows_asked(c, rc);
}

void host_series(struct call *c)
{
	struct host *h = call_host(c, c->params[0]);

	if (!h)
		return;
	c->series = SERIES_OF_HOST(h->host_id);
	ask(c);
}

/* Also of a cgroup that has gone: its id says whose series it is. */
void cgroup_series(struct call *c)
{
	struct host *h = call_host(c, c->params[0]);
	int64_t id;

	if (!h || !call_id(c, c->params[1], &id))
		return;
	c->series = SERIES_OF_CGROUP(h->host_id, id);
	ask(c);
}

/* Of one of its interpreters when the call names it, else of the process. */
static void ask_of_process(struct call *c, int32_t host_id)
{
	int64_t number;

	if (!query_get(&c->query, "interpreter")) {
		c->series = SERIES_OF_PROCESS(host_id, c->object_id);
		ask(c);
		return;
	}
	if (!call_query_int(c, "interpreter", 0, 0, INT64_MAX, &number))
		return;
	c->series = SERIES_OF_INTERPRETER(host_id,
					  identity_interpreter(c->object_id, (uint64_t)number));
	ask(c);
}

static void on_owner(void *arg, int rc, const struct db_result *r,
		     const struct error *err unused_arg)
{
	struct call *c = call_of(arg);
	struct process_row row;

	if (!rows_found(c, rc, r))
		return;
	store_process_row(r, 0, &row);
	ask_of_process(c, row.host_id);
}

void process_series(struct call *c)
{
	static const struct row_kind kind = {.name = "process"};
	struct host *h;
	struct db *db;

	if (!call_id(c, c->params[0], &c->object_id))
		return;
	if (view_find_process(c->api->ctx.registry, c->object_id, &h)) {
		ask_of_process(c, h->host_id);
		return;
	}
	db = rows_db(c, &kind);
	if (db)
		rows_asked(c, store_process_get(db, c->object_id, on_owner, c));
}
