/* SPDX-License-Identifier: Apache-2.0 */
/* One service of a host: what it is now, how it grows over its lives, why. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "collector/api/api.h"
#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/api/services.h"
#include "collector/api/view.h"
#include "collector/fleet/lives.h"
#include "collector/store/store.h"
#include "collector/store/store_life.h"
#include "common/clock.h"
#include "proto/identity.h"

#define SPAN_PRESET_US (2 * 24 * 3600 * USEC_PER_SEC)
#define KIB            1024.0
#define MS             1e3

/* Workers of one slot follow one another; so do masters. */
static int64_t key_of(const char *role, int64_t slot)
{
	return identity_service(role) ^ slot;
}

/* ---- from rollups ---- */

/* cpu_s: used so far in this life; moved on. */
static void add_row(struct lives *l, const struct life_row *r, double *cpu_s)
{
	struct life *life = lives_get(l, r->proc_id, key_of(r->role, r->slot));

	if (!life)
		return;
	if (!life->n)
		*cpu_s = 0;
	if (r->rss_first >= 0)
		life_add(life, r->from_us, (double)r->rss_first * KIB, *cpu_s);
	*cpu_s += r->cpu_ms < 0 ? NAN : (double)r->cpu_ms / MS;
	if (r->rss_last >= 0)
		life_add(life, r->to_us - 1, (double)r->rss_last * KIB, *cpu_s);
}

static void add_rows(struct lives *l, const struct db_result *r)
{
	double cpu_s = 0;

	for (size_t i = 0; i < db_rows(r); i++) {
		struct life_row row;

		store_life_row(r, i, &row);
		add_row(l, &row, &cpu_s);
	}
}

/* ---- from memory: what is not sealed yet ---- */

/* CPU time in memory counts from the process's start, in a life from when it was first seen. */
static double cpu_offset(const struct life *life, const struct python_history *h)
{
	int64_t at = METRIC_ABSENT;

	for (unsigned i = 0; i < h->n && (at == METRIC_ABSENT || !life->n ||
					  h->points[i].t_us <= life->p[life->n - 1].t_us);
	     i++)
		at = h->points[i].v[PYTHON_OF_CPU];
	return (life->n ? life->p[life->n - 1].cpu_s : 0) -
	       (at == METRIC_ABSENT ? NAN : (double)at / MS);
}

static void add_history(struct life *life, const struct python_history *h)
{
	double offset = cpu_offset(life, h);

	for (unsigned i = 0; i < h->n; i++) {
		int64_t cpu = h->points[i].v[PYTHON_OF_CPU];

		if (h->points[i].v[PYTHON_OF_RSS] != METRIC_ABSENT)
			life_add(life, h->points[i].t_us,
				 (double)h->points[i].v[PYTHON_OF_RSS] * KIB,
				 cpu == METRIC_ABSENT ? NAN : (double)cpu / MS + offset);
	}
}

static void add_living(struct lives *l, const struct host *h, const char *service)
{
	struct process *p;
	struct process *next;

	HASH_ITER (hh, h->processes, p, next) {
		struct life *life;

		if (strcmp(p->service, service) != 0)
			continue;
		life = lives_get(l, p->proc_id, key_of(wire_role_word(p->role), p->slot));
		if (!life)
			continue;
		if (p->python)
			add_history(life, &p->python->history);
		else
			for (unsigned i = 0; i < p->rss.n; i++)
				life_add(life, p->rss.t_us[i], (double)p->rss.v[i] * KIB, NAN);
	}
}

/* ---- the answer ---- */

static void write_trend(struct json_writer *w, const struct growth *g)
{
	bool burst = g->burst_us != 0;

	jw_key(w, "trend");
	jw_object(w);
	jw_k_str(w, "shape", growth_shape_word(g->shape));
	jw_k_str(w, "driver", growth_driver_word(g->driver));
	jw_k_str(w, "sentence", g->sentence);
	jw_k_int(w, "lives", (int64_t)g->lives);
	jw_k_int(w, "restarts", (int64_t)g->restarts);
	jw_k_num(w, "span_seconds", g->span_s);
	jw_k_num(w, "bytes_per_hour", round(g->bytes_per_hour));
	jw_k_num(w, "r2", g->r2);
	jw_k_num(w, "r2_cpu", g->r2_cpu);
	jw_k_num(w, "bytes_per_cpu_second", round(g->bytes_per_cpu_second));
	jw_k_num(w, "growth_bytes", round(g->growth_bytes));
	jw_k_num(w, "burst_bytes", burst ? round(g->burst_bytes) : NAN);
	jw_k_time(w, "burst_time", g->burst_us);
	jw_object_end(w);
}

/* The Python process of the service that grows most, else the largest; NULL. */
static const struct process *grower_of(const struct host *h, const char *service, int64_t now_us)
{
	const struct process *best = NULL;
	double most = -INFINITY;
	struct process *p;
	struct process *next;

	HASH_ITER (hh, h->processes, p, next) {
		double growth = view_growth(p, now_us);

		if (!p->python || strcmp(p->service, service) != 0)
			continue;
		if (isnan(growth))
			growth = 0;
		if (!best || growth > most ||
		    (growth == most && p->v[METRIC_RSS] > best->v[METRIC_RSS])) {
			best = p;
			most = growth;
		}
	}
	return best;
}

/* The member "now": the service's sum, or null. False when nothing of it runs. */
static bool write_now(struct call *c, const struct host *h, const char *service)
{
	size_t n = 0;
	auto_free struct service_sum *list = services_of(h, c->now_us, &n);
	size_t i = 0;

	jw_key(&c->json, "now");
	while (i < n && strcmp(list[i].name, service) != 0)
		i++;
	if (i == n) {
		jw_null(&c->json);
		return false;
	}
	view_service(&c->json, h, &list[i]);
	return true;
}

static void write_why(struct call *c, const struct host *h, const char *service)
{
	const struct process *p = grower_of(h, service, c->now_us);

	view_known_id(&c->json, "verdict_process_id", p ? p->proc_id : 0);
	if (p)
		view_verdict(&c->json, h, p);
	else
		jw_k_null(&c->json, "verdict");
}

/* r: NULL when the database is away: then of what is in memory only. */
static void answer(struct call *c, const struct host *h, const struct db_result *r)
{
	auto_free struct lives *lives = calloc(1, sizeof(*lives));
	const char *service = c->params[1];
	struct growth g;
	bool runs;

	if (lives && r)
		add_rows(lives, r);
	if (lives)
		add_living(lives, h, service);
	if (!lives || lives_judge(lives, &g) < 0) {
		call_fail(c, 503, "out of memory");
		return;
	}
	jw_object(&c->json);
	jw_k_id(&c->json, "host_id", h->host_id);
	jw_k_str(&c->json, "host", h->name);
	jw_k_str(&c->json, "service", service);
	runs = write_now(c, h, service);
	write_trend(&c->json, &g);
	write_why(c, h, service);
	jw_object_end(&c->json);
	if (runs || lives->n)
		call_reply(c, 200);
	else
		call_fail(c, 404, "there is no service '%.64s'", service);
}

static void on_lives(void *arg, int rc, const struct db_result *r,
		     const struct error *err unused_arg)
{
	struct call *c = call_of(arg);
	struct host *h = registry_find_host(c->api->ctx.registry, c->host_id);

	if (rc < 0)
		call_fail_db(c, rc);
	else if (h)
		answer(c, h, r);
	else
		call_fail(c, 404, "the host has gone");
}

void service_get(struct call *c)
{
	struct host *h = call_host(c, c->params[0]);
	int64_t from;

	if (!h || !call_query_time(c, "from", c->now_us - SPAN_PRESET_US, &from))
		return;
	c->host_id = h->host_id;
	if (!c->api->ctx.store || !api_reader(c->api) ||
	    store_lives(c->api->ctx.store, h->host_id, c->params[1], from, LIVES_MAX, on_lives, c) <
		    0)
		answer(c, h, NULL);
}
