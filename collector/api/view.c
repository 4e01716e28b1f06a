/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/str.h"
#include "proto/wire.h"

static double growth_of(const struct trend *t, int64_t now_us)
{
	double per_hour;
	double r2;

	if (!trend_slope(t, now_us, VIEW_GROWTH_SPAN_US, &per_hour, &r2))
		return NAN;
	return round(per_hour * metric_scale(UNIT_KIB));
}

double view_growth(const struct process *p, int64_t now_us)
{
	return growth_of(&p->rss, now_us);
}

static const char *suffix_of(enum metric_unit unit)
{
	return unit == UNIT_KIB ? "_bytes" : unit == UNIT_MS ? "_seconds" : "";
}

void view_metric_key(char out[VIEW_KEY_SIZE], const struct metric_info *m)
{
	snprintf(out, VIEW_KEY_SIZE, "%s%s", m->name, suffix_of(m->unit));
}

void view_metric(struct json_writer *w, const struct metric_info *m, int64_t v)
{
	char key[VIEW_KEY_SIZE];

	view_metric_key(key, m);
	jw_key(w, key);
	if (v == METRIC_ABSENT)
		jw_null(w);
	else if (m->unit == UNIT_KIB)
		jw_int(w, v * 1024);
	else
		jw_num(w, (double)v * metric_scale(m->unit));
}

void view_text(struct json_writer *w, const char *key, const char *text)
{
	jw_k_str(w, key, text && *text ? text : NULL);
}

void view_known_id(struct json_writer *w, const char *key, int64_t id)
{
	if (id)
		jw_k_id(w, key, id);
	else
		jw_k_null(w, key);
}

void view_number(struct json_writer *w, const char *key, int64_t v)
{
	if (v >= 0)
		jw_k_int(w, key, v);
	else
		jw_k_null(w, key);
}

void view_count(struct json_writer *w, const char *key, int64_t v)
{
	if (v)
		jw_k_int(w, key, v);
	else
		jw_k_null(w, key);
}

static void view_spark(struct json_writer *w, const struct trend *t)
{
	jw_key(w, "spark");
	jw_array(w);
	for (unsigned i = 0; i < t->n; i++) {
		jw_array(w);
		jw_int(w, t->t_us[i] / USEC_PER_SEC);
		jw_int(w, t->v[i] * 1024);
		jw_array_end(w);
	}
	jw_array_end(w);
}

void view_culprit(struct json_writer *w, struct host *h, int64_t now_us)
{
	double growth = 0;
	const struct process *p = host_culprit(h, now_us, &growth);

	jw_key(w, "culprit");
	if (!p) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_k_id(w, "process_id", p->proc_id);
	jw_k_str(w, "service", p->service);
	jw_k_str(w, "comm", p->comm);
	jw_k_int(w, "pid", p->pid);
	jw_k_num(w, "growth_bytes_per_hour", round(growth));
	jw_object_end(w);
}

/* What the greeting and the heartbeats tell; null until there was one. */
static void view_agent(struct json_writer *w, const struct host *h)
{
	view_count(w, "cpus", h->cpus);
	view_text(w, "kernel", h->kernel);
	jw_k_num(w, "interval_seconds", h->interval_ms ? h->interval_ms / 1000.0 : NAN);
	view_text(w, "agent_version", h->version);
	view_count(w, "agent_rss_bytes", (int64_t)h->agent_rss_bytes);
	jw_k_num(w, "agent_cpu_seconds",
		 h->agent_rss_bytes ? (double)h->agent_cpu_us / USEC_PER_SEC : NAN);
}

/* Shares of the last 10 s and all time since boot; null where the kernel does not tell. */
static void view_pressure(struct json_writer *w, const struct host *h)
{
	static const struct {
		const char *key;
		enum host_metric metric;
	} figures[] = {{"some_ratio", HOST_METRIC_PSI_SOME10},
		       {"full_ratio", HOST_METRIC_PSI_FULL10},
		       {"some_seconds", HOST_METRIC_PSI_SOME},
		       {"full_seconds", HOST_METRIC_PSI_FULL}};

	jw_key(w, "pressure");
	if (h->v[HOST_METRIC_PSI_SOME10] == METRIC_ABSENT) {
		jw_null(w);
		return;
	}
	jw_object(w);
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++) {
		enum host_metric m = figures[i].metric;

		jw_k_num(w, figures[i].key,
			 h->v[m] == METRIC_ABSENT
				 ? NAN
				 : (double)h->v[m] * metric_scale(host_metric_infos[m].unit));
	}
	jw_object_end(w);
}

static void view_posture(struct json_writer *w, const struct host *h)
{
	jw_key(w, "posture");
	if (!h->posture) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_k_time(w, "time", h->posture_us);
	jw_k_raw(w, "findings", h->posture);
	jw_object_end(w);
}

/* What a host tells under a name of its own: its processes as we know them, and the agent's cost as
 * its heartbeats tell it. */
static bool has_own_name(enum host_metric m)
{
	return m == HOST_METRIC_PROCESSES || m == HOST_METRIC_AGENT_RSS ||
	       m == HOST_METRIC_AGENT_CPU;
}

static void view_as(struct json_writer *w, const char *name, enum host_metric m, int64_t v)
{
	struct metric_info info = host_metric_infos[m];

	info.name = name;
	view_metric(w, &info, v);
}

/* Of a host that has not been here since we began. */
static bool is_zero(const uint8_t id[16])
{
	static const uint8_t none[16];

	return memcmp(id, none, sizeof(none)) == 0;
}

void view_host(struct json_writer *w, struct host *h, int64_t now_us, unsigned more)
{
	int64_t tto = host_time_to_oom_us(h, now_us);
	char uuid[UUID_TEXT_SIZE];

	uuid_text(uuid, h->uuid);
	jw_object(w);
	jw_k_id(w, "id", h->host_id);
	jw_k_str(w, "uuid", uuid);
	uuid_text(uuid, h->boot_id);
	view_text(w, "boot_id", is_zero(h->boot_id) ? NULL : uuid);
	jw_k_str(w, "name", h->name);
	jw_k_bool(w, "connected", registry_host_is_up(h));
	view_text(w, "collector", h->holder);
	jw_k_bool(w, "can_act", h->act);
	jw_k_time(w, "last_seen", h->last_seen_us);
	for (int i = 0; i < HOST_METRIC_COUNT; i++)
		if (!has_own_name((enum host_metric)i))
			view_metric(w, &host_metric_infos[i], h->v[i]);
	jw_k_int(w, "processes", HASH_COUNT(h->processes));
	view_agent(w, h);
	view_as(w, "sense_rss", HOST_METRIC_AGENT_RSS, h->v[HOST_METRIC_AGENT_RSS]);
	view_as(w, "sense_cpu", HOST_METRIC_AGENT_CPU, h->v[HOST_METRIC_AGENT_CPU]);
	view_pressure(w, h);
	view_culprit(w, h, now_us);
	jw_k_num(w, "time_to_oom_seconds", tto < 0 ? NAN : (double)tto / USEC_PER_SEC);
	if (more & VIEW_SPARK)
		view_spark(w, &h->available);
	if (more & VIEW_POSTURE)
		view_posture(w, h);
	jw_object_end(w);
}

static int64_t bytes_of(int64_t kib)
{
	return kib == METRIC_ABSENT ? -1 : kib * 1024;
}

/* Its place in its service and what holds it. */
static void view_place(struct json_writer *w, const struct host *h, const struct process *p)
{
	const struct cgroup *g = registry_cgroup_of(h, p);

	jw_k_str(w, "service", p->service);
	view_text(w, "container", p->container);
	view_text(w, "role", wire_role_word(p->role));
	view_count(w, "slot", p->slot);
	view_known_id(w, "cgroup_id", g ? g->cgroup_id : 0);
	view_number(w, "limit_bytes", bytes_of(registry_limit_of(h, p)));
	view_text(w, "limited_by", g ? g->limited_by : NULL);
}

void view_cgroup(struct json_writer *w, const struct host *h, const struct cgroup *g,
		 int64_t now_us)
{
	jw_object(w);
	jw_k_id(w, "id", g->cgroup_id);
	jw_k_id(w, "host_id", h->host_id);
	jw_k_str(w, "path", g->path);
	view_text(w, "name", g->name);
	view_text(w, "runtime", g->runtime);
	view_text(w, "image", g->image);
	jw_k_int(w, "version", g->version);
	view_text(w, "limited_by", g->limited_by);
	jw_k_bool(w, "no_limit", !*g->limited_by);
	for (int i = 0; i < CGROUP_METRIC_COUNT; i++)
		view_metric(w, &cgroup_metric_infos[i], g->v[i]);
	jw_k_num(w, "growth_bytes_per_hour", growth_of(&g->working_set, now_us));
	jw_k_time(w, "first_seen", g->first_seen_us);
	jw_k_time(w, "last_seen", g->last_seen_us);
	jw_object_end(w);
}

void view_process(struct json_writer *w, const struct host *h, const struct process *p,
		  int64_t now_us, unsigned more)
{
	jw_object(w);
	jw_k_id(w, "id", p->proc_id);
	jw_k_id(w, "host_id", h->host_id);
	jw_k_str(w, "host", h->name);
	jw_k_bool(w, "alive", true);
	jw_k_int(w, "pid", p->pid);
	jw_k_int(w, "ppid", p->ppid);
	jw_k_int(w, "uid", p->uid);
	jw_k_id(w, "start_ticks", (int64_t)p->start_ticks);
	jw_k_str(w, "comm", p->comm);
	jw_k_str(w, "cmdline", p->cmdline);
	jw_k_str(w, "exe", p->exe);
	jw_k_str(w, "cgroup", p->cgroup);
	view_place(w, h, p);
	for (int i = 0; i < METRIC_COUNT; i++)
		view_metric(w, &metric_infos[i], p->v[i]);
	jw_k_num(w, "growth_bytes_per_hour", view_growth(p, now_us));
	jw_k_time(w, "first_seen", p->first_seen_us);
	jw_k_time(w, "last_seen", p->last_seen_us);
	jw_k_null(w, "ended");
	if (more & VIEW_VERDICT)
		view_verdict(w, h, p);
	jw_object_end(w);
}

struct host *view_find_host(struct registry *r, const char *text)
{
	struct host *h = NULL;
	int64_t id;

	if (str_parse_int(text, &id) == 0 && id > 0 && id <= INT32_MAX)
		h = registry_find_host(r, (int32_t)id);
	return h ? h : registry_find_host_name(r, text);
}

struct process *view_find_process(struct registry *r, int64_t proc_id, struct host **ret_host)
{
	struct host *h;
	struct host *next;

	HASH_ITER (hh, r->hosts, h, next) {
		struct process *p = registry_find_process(h, proc_id);

		if (p) {
			*ret_host = h;
			return p;
		}
	}
	return NULL;
}
