/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/str.h"

double view_growth(const struct process *p, int64_t now_us)
{
	double per_hour;
	double r2;

	if (!trend_slope(&p->rss, now_us, VIEW_GROWTH_SPAN_US, &per_hour, &r2))
		return NAN;
	return round(per_hour * metric_scale(UNIT_KIB));
}

static const char *suffix_of(enum metric_unit unit)
{
	return unit == UNIT_KIB ? "_bytes" : unit == UNIT_MS ? "_seconds" : "";
}

void view_metric(struct json_writer *w, const struct metric_info *m, int64_t v)
{
	char key[48];

	snprintf(key, sizeof(key), "%s%s", m->name, suffix_of(m->unit));
	jw_key(w, key);
	if (v == METRIC_ABSENT)
		jw_null(w);
	else if (m->unit == UNIT_KIB)
		jw_int(w, v * 1024);
	else
		jw_num(w, (double)v * metric_scale(m->unit));
}

/* Zero is what was never told. */
static void write_count(struct json_writer *w, const char *key, int64_t v)
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
	write_count(w, "cpus", h->cpus);
	jw_k_str(w, "kernel", h->kernel && *h->kernel ? h->kernel : NULL);
	jw_k_num(w, "interval_seconds", h->interval_ms ? h->interval_ms / 1000.0 : NAN);
	jw_k_str(w, "agent_version", h->version && *h->version ? h->version : NULL);
	write_count(w, "agent_rss_bytes", (int64_t)h->agent_rss_bytes);
	jw_k_num(w, "agent_cpu_seconds",
		 h->agent_rss_bytes ? (double)h->agent_cpu_us / USEC_PER_SEC : NAN);
}

void view_host(struct json_writer *w, struct host *h, int64_t now_us, bool spark)
{
	int64_t tto = host_time_to_oom_us(h, now_us);
	char uuid[UUID_TEXT_SIZE];

	uuid_text(uuid, h->uuid);
	jw_object(w);
	jw_k_id(w, "id", h->host_id);
	jw_k_str(w, "uuid", uuid);
	jw_k_str(w, "name", h->name);
	jw_k_bool(w, "connected", h->connected);
	jw_k_bool(w, "can_act", h->act);
	jw_k_time(w, "last_seen", h->last_seen_us);
	for (int i = 0; i < HOST_METRIC_COUNT; i++)
		if (i != HOST_METRIC_PROCESSES)
			view_metric(w, &host_metric_infos[i], h->v[i]);
	jw_k_int(w, "processes", HASH_COUNT(h->processes));
	view_agent(w, h);
	view_culprit(w, h, now_us);
	jw_k_num(w, "time_to_oom_seconds", tto < 0 ? NAN : (double)tto / USEC_PER_SEC);
	if (spark)
		view_spark(w, &h->available);
	jw_object_end(w);
}

void view_process(struct json_writer *w, const struct host *h, const struct process *p,
		  int64_t now_us)
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
	jw_k_str(w, "service", p->service);
	for (int i = 0; i < METRIC_COUNT; i++)
		view_metric(w, &metric_infos[i], p->v[i]);
	jw_k_num(w, "growth_bytes_per_hour", view_growth(p, now_us));
	jw_k_time(w, "first_seen", p->first_seen_us);
	jw_k_time(w, "last_seen", p->last_seen_us);
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
