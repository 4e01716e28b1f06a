/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/api.h"
#include "collector/api/resource.h"
#include "collector/api/view.h"
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

void fleet_get(struct call *c)
{
	const struct api_context *x = &c->api->ctx;
	struct worst worst = {.n = 0};
	struct host *h;
	struct host *next;
	int64_t connected = 0;
	int64_t processes = 0;

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
