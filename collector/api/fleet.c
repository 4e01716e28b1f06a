/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "collector/api/api.h"
#include "collector/api/cells.h"
#include "collector/api/resource.h"
#include "collector/api/view.h"
#include "collector/cell/cell.h"
#include "collector/stats.h"
#include "common/clock.h"

#define WORST_MAX 10

/* Keeps the hosts that are nearest to their end, nearest first. */
struct worst {
	struct {
		struct host *h;
		int64_t tto_us;
	} rows[WORST_MAX];
	unsigned n;
};

static void worst_add(struct worst *w, struct host *h, int64_t tto_us)
{
	unsigned at = w->n;

	if (w->n == WORST_MAX && w->rows[WORST_MAX - 1].tto_us <= tto_us)
		return;
	if (w->n == WORST_MAX)
		at--;
	else
		w->n++;
	for (; at > 0 && w->rows[at - 1].tto_us > tto_us; at--)
		w->rows[at] = w->rows[at - 1];
	w->rows[at].h = h;
	w->rows[at].tto_us = tto_us;
}

static void write_worst(struct call *c, const struct worst *w)
{
	jw_key(&c->json, "worst");
	jw_array(&c->json);
	for (unsigned i = 0; i < w->n; i++)
		view_host(&c->json, w->rows[i].h, c->now_us, 0);
	jw_array_end(&c->json);
}

static void write_alerts(struct call *c, const struct collector_stats *s)
{
	jw_key(&c->json, "alerts");
	jw_object(&c->json);
	jw_k_int(&c->json, "firing",
		 s ? (int64_t)(s->alerts_log + s->alerts_mail + s->alerts_trim) : 0);
	jw_k_int(&c->json, "log", s ? (int64_t)s->alerts_log : 0);
	jw_k_int(&c->json, "mail", s ? (int64_t)s->alerts_mail : 0);
	jw_k_int(&c->json, "trim", s ? (int64_t)s->alerts_trim : 0);
	jw_object_end(&c->json);
}

/* ---- of several cells ---- */

static json_int_t number_of(const json_t *doc, const char *group, const char *key)
{
	const json_t *o = group ? json_object_get(doc, group) : doc;

	return json_integer_value(json_object_get(o, key));
}

static int64_t sum(json_t *const *docs, size_t n, const char *group, const char *key)
{
	int64_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += MAX_OF((int64_t)number_of(docs[i], group, key), (int64_t)0);
	return total;
}

static void write_sums(struct call *c, json_t *const *docs, size_t n, const char *group,
		       const char *const *keys)
{
	jw_key(&c->json, group);
	jw_object(&c->json);
	for (; *keys; keys++)
		jw_k_int(&c->json, *keys, sum(docs, n, group, *keys));
	jw_object_end(&c->json);
}

static double end_of(const json_t *row)
{
	const json_t *v = json_object_get(row, "time_to_oom_seconds");

	return json_is_number(v) ? json_number_value(v) : INFINITY;
}

/* Each cell tells its worst ones: the nearest of them all are among these. */
static void merge_worst(struct call *c, const char *const *names, json_t *const *docs, size_t n)
{
	size_t at[CELLS_MAX] = {0};

	jw_key(&c->json, "worst");
	jw_array(&c->json);
	for (unsigned k = 0; k < WORST_MAX; k++) {
		json_t *first = NULL;
		size_t from = 0;

		for (size_t i = 0; i < n; i++) {
			json_t *row = json_array_get(json_object_get(docs[i], "worst"), at[i]);

			if (!json_is_object(row) || (first && end_of(row) >= end_of(first)))
				continue;
			first = row;
			from = i;
		}
		if (!first)
			break;
		at[from]++;
		json_object_set_new(first, "cell", json_string(names[from]));
		auto_free char *text = json_dumps(first, JSON_COMPACT);

		jw_raw(&c->json, text);
	}
	jw_array_end(&c->json);
}

static void merge(struct call *c, const char *const *names, json_t *const *docs, size_t n)
{
	static const char *const hosts[] = {"total", "connected", NULL};
	static const char *const alerts[] = {"firing", "log", "mail", "trim", NULL};
	bool database = true;
	double lag = 0;

	for (size_t i = 0; i < n; i++) {
		if (!docs[i])
			continue;
		lag = MAX_OF(lag,
			     json_number_value(json_object_get(docs[i], "ingest_lag_seconds")));
		database &= json_is_true(json_object_get(docs[i], "database"));
	}
	write_sums(c, docs, n, "hosts", hosts);
	jw_k_int(&c->json, "processes", sum(docs, n, NULL, "processes"));
	write_sums(c, docs, n, "alerts", alerts);
	merge_worst(c, names, docs, n);
	jw_k_num(&c->json, "ingest_lag_seconds", lag);
	jw_k_bool(&c->json, "database", database);
}

static const struct cells_list of_cells = {.path = "/fleet", .merge = merge};

/* ---- of this collector ---- */

void fleet_get(struct call *c)
{
	const struct api_context *x = &c->api->ctx;
	struct worst worst = {.n = 0};
	struct host *h;
	struct host *next;
	int64_t connected = 0;
	int64_t processes = 0;

	if (cells_take(c, &of_cells))
		return;

	HASH_ITER (hh, x->registry->hosts, h, next) {
		int64_t tto = host_time_to_oom_us(h, c->now_us);

		connected += registry_host_is_up(h);
		processes += HASH_COUNT(h->processes);
		if (tto >= 0)
			worst_add(&worst, h, tto);
	}
	jw_object(&c->json);
	jw_key(&c->json, "hosts");
	jw_object(&c->json);
	jw_k_int(&c->json, "total", HASH_COUNT(x->registry->hosts));
	jw_k_int(&c->json, "connected", connected);
	jw_object_end(&c->json);
	jw_k_int(&c->json, "processes", processes);
	write_alerts(c, x->stats);
	write_worst(c, &worst);
	jw_k_num(&c->json, "ingest_lag_seconds",
		 x->stats ? (double)x->stats->ingest_lag_us / USEC_PER_SEC : 0);
	jw_k_bool(&c->json, "database", api_db(c->api) != NULL);
	jw_object_end(&c->json);
	call_reply(c, 200);
}
