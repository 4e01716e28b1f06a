/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collector/api/api.h"
#include "collector/api/resource.h"
#include "collector/api/services.h"
#include "collector/api/view.h"
#include "common/clock.h"

#define TYPE_TEXT "text/plain; version=0.0.4; charset=utf-8"
#define TYPE_OPEN "application/openmetrics-text; version=1.0.0; charset=utf-8"

void metrics_label(struct buf *out, const char *value)
{
	for (; *value; value++) {
		if (*value == '\n')
			buf_puts(out, "\\n");
		else if (*value == '"' || *value == '\\')
			buf_printf(out, "\\%c", *value);
		else
			buf_putc(out, *value);
	}
}

/* In OpenMetrics a counter's family is named without the _total of its samples. */
static void family(struct buf *out, bool openmetrics, const char *name, const char *kind,
		   const char *help)
{
	size_t len = strlen(name);

	if (openmetrics && strcmp(kind, "counter") == 0 && len > 6)
		len -= strlen("_total");
	buf_printf(out, "# HELP memherd_%.*s %s\n# TYPE memherd_%.*s %s\n", (int)len, name, help,
		   (int)len, name, kind);
}

static void value(struct buf *out, double v)
{
	buf_printf(out, " %.15g\n", v);
}

static void plain(struct buf *out, bool openmetrics, const char *name, const char *kind,
		  const char *help, double v)
{
	family(out, openmetrics, name, kind, help);
	buf_printf(out, "memherd_%s", name);
	value(out, v);
}

/* ---- the collector ---- */

static void write_stats(struct buf *out, bool openmetrics, const struct collector_stats *s)
{
	const char *last = "";

#define X(field, metric, labels, kind, scale, help)                                      \
	if (strcmp(last, metric) != 0)                                                   \
		family(out, openmetrics, metric, #kind, help);                           \
	last = metric;                                                                   \
	buf_puts(out, labels[0] ? "memherd_" metric "{" labels "}" : "memherd_" metric); \
	value(out, (double)s->field *(scale));
	COLLECTOR_STAT_LIST(X)
#undef X
	(void)last;
}

static void table_sample(struct buf *out, const char *name, const struct store_size *t, int64_t v)
{
	buf_printf(out, "memherd_%s{table=\"", name);
	metrics_label(out, t->table);
	buf_puts(out, "\"}");
	value(out, (double)v);
}

static void write_sizes(struct buf *out, bool openmetrics, const struct store_sizes *s)
{
	family(out, openmetrics, "store_bytes", "gauge",
	       "what a table takes, its leaves, indexes and TOAST included");
	for (size_t i = 0; i < s->n; i++)
		table_sample(out, "store_bytes", &s->tables[i], s->tables[i].bytes);
	family(out, openmetrics, "store_rows", "gauge", "rows of a table, as the server estimates");
	for (size_t i = 0; i < s->n; i++)
		table_sample(out, "store_rows", &s->tables[i], s->tables[i].rows);
}

static void write_agents(struct buf *out, bool openmetrics, const struct registry *r)
{
	const struct host *h;
	unsigned up = 0;

	for (h = r->hosts; h; h = h->hh.next)
		up += registry_host_is_up(h);
	family(out, openmetrics, "agents", "gauge", "hosts by the state of their agent");
	buf_printf(out, "memherd_agents{state=\"connected\"} %u\n", up);
	buf_printf(out, "memherd_agents{state=\"silent\"} %u\n", HASH_COUNT(r->hosts) - up);
}

static void write_self(struct buf *out, bool openmetrics, const struct metrics_input *in)
{
	family(out, openmetrics, "build_info", "gauge", "the program's version");
	buf_puts(out, "memherd_build_info{version=\"" MEMHERD_VERSION "\"} 1\n");
	plain(out, openmetrics, "database_up", "gauge", "1 when the database answers",
	      in->database_up);
	plain(out, openmetrics, "http_requests_total", "counter", "requests taken",
	      (double)in->http_requests);
	plain(out, openmetrics, "http_refused_total", "counter",
	      "connections refused: malformed, too slow to understand, or too many",
	      (double)in->http_refused);
	plain(out, openmetrics, "http_connections", "gauge", "connections open",
	      in->http_connections);
	plain(out, openmetrics, "auth_failures_total", "counter",
	      "requests without valid credentials", (double)in->auth_failures);
}

/* ---- hosts ---- */

/* Sorted by name and id, so that of hosts with one name the later ones are told apart. */
struct entry {
	const struct host *h;
	bool twin;
};

struct fleet {
	struct entry *list;
	size_t n;
};

static int by_name(const void *a, const void *b)
{
	const struct entry *x = a;
	const struct entry *y = b;
	int order = strcmp(x->h->name, y->h->name);

	return order ? order : (x->h->host_id > y->h->host_id) - (x->h->host_id < y->h->host_id);
}

static int fleet_init(struct fleet *f, const struct registry *r)
{
	*f = (struct fleet){.list = calloc(HASH_COUNT(r->hosts) + 1, sizeof(*f->list))};
	if (!f->list)
		return -ENOMEM;
	for (const struct host *h = r->hosts; h; h = h->hh.next)
		f->list[f->n++].h = h;
	qsort(f->list, f->n, sizeof(*f->list), by_name);
	for (size_t i = 1; i < f->n; i++)
		f->list[i].twin = strcmp(f->list[i].h->name, f->list[i - 1].h->name) == 0;
	return 0;
}

/* Leaves the braces open. Two hosts may have one name, two samples may not have one set of labels.
 */
static void host_labels(struct buf *out, const char *name, const struct entry *e)
{
	buf_printf(out, "memherd_%s{host=\"", name);
	metrics_label(out, e->h->name);
	if (e->twin)
		buf_printf(out, "#%d", e->h->host_id);
	buf_putc(out, '"');
}

static void host_sample(struct buf *out, const char *name, const struct entry *e, double v)
{
	host_labels(out, name, e);
	buf_putc(out, '}');
	value(out, v);
}

/* Hosts that never told it are left out. */
static double host_value(const struct host *h, enum host_metric m)
{
	if (h->v[m] == METRIC_ABSENT)
		return NAN;
	return (double)h->v[m] * metric_scale(host_metric_infos[m].unit);
}

/* X(name, kind, help, figure of h) */
#define HOST_FAMILY_LIST(X)                                                                        \
	X(host_total_bytes, gauge, HELP(TOTAL), host_value(h, HOST_METRIC_TOTAL))                  \
	X(host_available_bytes, gauge, HELP(AVAILABLE), host_value(h, HOST_METRIC_AVAILABLE))      \
	X(host_swap_total_bytes, gauge, HELP(SWAP_TOTAL), host_value(h, HOST_METRIC_SWAP_TOTAL))   \
	X(host_swap_free_bytes, gauge, HELP(SWAP_FREE), host_value(h, HOST_METRIC_SWAP_FREE))      \
	X(host_swap_in_pages_total, counter, HELP(SWAP_IN), host_value(h, HOST_METRIC_SWAP_IN))    \
	X(host_swap_out_pages_total, counter, HELP(SWAP_OUT), host_value(h, HOST_METRIC_SWAP_OUT)) \
	X(host_pressure_some_ratio, gauge, HELP(PSI_SOME10),                                       \
	  host_value(h, HOST_METRIC_PSI_SOME10))                                                   \
	X(host_pressure_full_ratio, gauge, HELP(PSI_FULL10),                                       \
	  host_value(h, HOST_METRIC_PSI_FULL10))                                                   \
	X(host_pressure_some_seconds_total, counter, HELP(PSI_SOME),                               \
	  host_value(h, HOST_METRIC_PSI_SOME))                                                     \
	X(host_pressure_full_seconds_total, counter, HELP(PSI_FULL),                               \
	  host_value(h, HOST_METRIC_PSI_FULL))                                                     \
	X(host_oom_kills_total, counter,                                                           \
	  "processes killed by the OOM killer, as the kernel counts",                              \
	  host_value(h, HOST_METRIC_OOM_KILLS))                                                    \
	X(host_up, gauge, "1 when the agent is connected", registry_host_is_up(h))                 \
	X(host_processes, gauge, "processes alive", HASH_COUNT(h->processes))                      \
	X(host_agent_rss_bytes, gauge, "memory of the agent itself",                               \
	  h->agent_rss_bytes ? (double)h->agent_rss_bytes : NAN)                                   \
	X(agent_rss_bytes, gauge, HELP(AGENT_RSS), host_value(h, HOST_METRIC_AGENT_RSS))           \
	X(agent_cpu_seconds_total, counter, HELP(AGENT_CPU), host_value(h, HOST_METRIC_AGENT_CPU)) \
	X(agent_pss_cpu_seconds_total, counter, HELP(PSS_CPU), host_value(h, HOST_METRIC_PSS_CPU)) \
	X(agent_pss_reads_total, counter, HELP(PSS_READS), host_value(h, HOST_METRIC_PSS_READS))   \
	X(agent_pythons, gauge, HELP(PYTHONS), host_value(h, HOST_METRIC_PYTHONS))                 \
	X(agent_python_cpu_seconds_total, counter, HELP(PYTHON_CPU),                               \
	  host_value(h, HOST_METRIC_PYTHON_CPU))                                                   \
	X(agent_ring_bytes, gauge, HELP(RING), host_value(h, HOST_METRIC_RING))                    \
	X(agent_skipped_processes, gauge, HELP(SKIPPED), host_value(h, HOST_METRIC_SKIPPED))       \
	X(host_time_to_oom_seconds, gauge,                                                         \
	  "until no memory is available at the present rate; absent when it is not shrinking",     \
	  time_to_oom(h, now_us))

#define HELP(NAME) host_metric_infos[HOST_METRIC_##NAME].help

static double time_to_oom(const struct host *h, int64_t now_us)
{
	int64_t us = host_time_to_oom_us(h, now_us);

	return us < 0 ? NAN : (double)us / USEC_PER_SEC;
}

static void write_hosts(struct buf *out, bool openmetrics, const struct fleet *f, int64_t now_us)
{
#define X(name, kind, help, figure)                              \
	family(out, openmetrics, #name, #kind, help);            \
	for (size_t i = 0; i < f->n; i++) {                      \
		const struct host *h = f->list[i].h;             \
		double v = figure;                               \
                                                                 \
		if (!isnan(v))                                   \
			host_sample(out, #name, &f->list[i], v); \
	}
	HOST_FAMILY_LIST(X)
#undef X
}

static void label(struct buf *out, const char *name, const char *text)
{
	buf_printf(out, ",%s=\"", name);
	metrics_label(out, text);
	buf_putc(out, '"');
}

/* Kills that were told since the collector started; what the kernel counted is another family. */
static void write_kills(struct buf *out, bool openmetrics, const struct fleet *f)
{
	static const char *const scopes[KILL_SCOPES] = {[KILL_SCOPE_HOST] = "host",
							[KILL_SCOPE_CGROUP] = "cgroup",
							[KILL_SCOPE_DAEMON] = "daemon"};

	family(out, openmetrics, "oom_kills_total", "counter",
	       "kills told by agents: of the whole host, at a cgroup's limit, by a daemon");
	for (size_t i = 0; i < f->n; i++)
		for (int k = 0; k < KILL_SCOPES; k++) {
			host_labels(out, "oom_kills_total", &f->list[i]);
			label(out, "scope", scopes[k]);
			buf_putc(out, '}');
			value(out, (double)f->list[i].h->kills.scopes[k]);
		}
}

/* ---- services ---- */

enum service_figure { SERVICE_RSS, SERVICE_PSS, SERVICE_GROWTH, SERVICE_PROCESSES };

static double figure_of(const struct service_sum *s, enum service_figure f)
{
	switch (f) {
	case SERVICE_RSS:
		return (double)s->rss_bytes;
	case SERVICE_PSS:
		return s->pss_known ? (double)s->pss_bytes : NAN;
	case SERVICE_GROWTH:
		return s->growth / 3600;
	case SERVICE_PROCESSES:
		break;
	}
	return (double)s->processes;
}

static void host_services_figure(struct buf *out, const char *name, const struct entry *e,
				 enum service_figure f, int64_t now_us)
{
	size_t n;
	struct service_sum *list = services_of(e->h, now_us, &n);

	for (size_t i = 0; list && i < n && i < METRICS_SERVICES_TOP; i++) {
		double v = figure_of(&list[i], f);

		if (isnan(v))
			continue;
		host_labels(out, name, e);
		label(out, "service", list[i].name);
		buf_putc(out, '}');
		value(out, v);
	}
	free(list);
}

static void write_services(struct buf *out, bool openmetrics, const struct fleet *f, int64_t now_us)
{
	static const struct {
		const char *name;
		const char *help;
		enum service_figure figure;
	} families[] = {
		{"service_rss_bytes",
		 "resident memory of a service's processes, shared pages counted in each",
		 SERVICE_RSS},
		{"service_pss_bytes",
		 "proportional memory of a service's processes; resident where that is not known",
		 SERVICE_PSS},
		{"service_growth_bytes_per_second", "slope of the last hour, summed over processes",
		 SERVICE_GROWTH},
		{"service_processes", "processes of a service", SERVICE_PROCESSES},
	};

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		family(out, openmetrics, families[i].name, "gauge", families[i].help);
		for (size_t j = 0; j < f->n; j++)
			host_services_figure(out, families[i].name, &f->list[j], families[i].figure,
					     now_us);
	}
}

/* ---- Python ---- */

static void python_labels(struct buf *out, const char *name, const struct entry *e,
			  const struct gctotal *t)
{
	host_labels(out, name, e);
	label(out, "service", t->service);
}

static void write_collections(struct buf *out, const struct entry *e, const struct gctotal *t)
{
	for (int i = 0; i < GCTOTALS_GENERATIONS; i++) {
		python_labels(out, "python_gc_collections_total", e, t);
		buf_printf(out, ",generation=\"%d\"}", i);
		value(out, (double)t->collections[i]);
	}
}

static void python_sample(struct buf *out, const char *name, const struct entry *e,
			  const struct gctotal *t, uint64_t v)
{
	python_labels(out, name, e, t);
	buf_putc(out, '}');
	value(out, (double)v);
}

/* Of services, since this collector watches them: nothing falls when a process ends. */
static void write_pythons(struct buf *out, bool openmetrics, const struct fleet *f)
{
	family(out, openmetrics, "python_gc_collections_total", "counter",
	       "collections by generation, of a service's Python processes");
	for (size_t i = 0; i < f->n; i++)
		for (const struct gctotal *t = f->list[i].h->gc; t; t = t->hh.next)
			write_collections(out, &f->list[i], t);
	family(out, openmetrics, "python_gc_collected_total", "counter", "objects that they freed");
	for (size_t i = 0; i < f->n; i++)
		for (const struct gctotal *t = f->list[i].h->gc; t; t = t->hh.next)
			python_sample(out, "python_gc_collected_total", &f->list[i], t,
				      t->collected);
	family(out, openmetrics, "python_gc_uncollectable_total", "counter",
	       "objects that they found and could not free");
	for (size_t i = 0; i < f->n; i++)
		for (const struct gctotal *t = f->list[i].h->gc; t; t = t->hh.next)
			python_sample(out, "python_gc_uncollectable_total", &f->list[i], t,
				      t->uncollectable);
}

/* ---- cgroups ---- */

/* Those that a limit holds or a container runtime made; the rest is what services tell. */
static bool is_told(const struct cgroup *g)
{
	return *g->limited_by || (*g->runtime && strcmp(g->runtime, "systemd") != 0);
}

static int by_working_set(const void *a, const void *b)
{
	const struct cgroup *x = *(const struct cgroup *const *)a;
	const struct cgroup *y = *(const struct cgroup *const *)b;
	int64_t vx = x->v[CGROUP_METRIC_WORKING_SET];
	int64_t vy = y->v[CGROUP_METRIC_WORKING_SET];

	if (vx != vy)
		return vx < vy ? 1 : -1;
	return strcmp(x->path, y->path);
}

/* The largest of a host, at most METRICS_CGROUPS_TOP; free() it. */
static const struct cgroup **top_cgroups(const struct host *h, size_t *ret_n)
{
	const struct cgroup **list =
		calloc(HASH_COUNT(h->cgroups) + 1, sizeof(const struct cgroup *));

	*ret_n = 0;
	for (const struct cgroup *g = h->cgroups; list && g; g = g->hh.next)
		if (is_told(g))
			list[(*ret_n)++] = g;
	if (list)
		qsort(list, *ret_n, sizeof(const struct cgroup *), by_working_set);
	*ret_n = MIN_OF(*ret_n, (size_t)METRICS_CGROUPS_TOP);
	return list;
}

static void cgroup_samples(struct buf *out, const char *name, const struct entry *e,
			   enum cgroup_metric m)
{
	size_t n;
	auto_free const struct cgroup **list = top_cgroups(e->h, &n);

	for (size_t i = 0; i < n; i++) {
		if (list[i]->v[m] == METRIC_ABSENT)
			continue;
		host_labels(out, name, e);
		label(out, "cgroup", list[i]->path);
		label(out, "name", list[i]->name);
		buf_putc(out, '}');
		value(out, (double)list[i]->v[m] * metric_scale(cgroup_metric_infos[m].unit));
	}
}

static void write_cgroups(struct buf *out, bool openmetrics, const struct fleet *f)
{
	static const struct {
		const char *name;
		const char *kind;
		enum cgroup_metric metric;
	} families[] = {
		{"cgroup_working_set_bytes", "gauge", CGROUP_METRIC_WORKING_SET},
		{"cgroup_usage_bytes", "gauge", CGROUP_METRIC_USAGE},
		{"cgroup_limit_bytes", "gauge", CGROUP_METRIC_LIMIT},
		{"cgroup_swap_bytes", "gauge", CGROUP_METRIC_SWAP},
		{"cgroup_pressure_some_ratio", "gauge", CGROUP_METRIC_PSI_SOME10},
		{"cgroup_limit_hits_total", "counter", CGROUP_METRIC_EVENTS_MAX},
		{"cgroup_oom_kills_total", "counter", CGROUP_METRIC_OOM_KILLS},
	};

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		family(out, openmetrics, families[i].name, families[i].kind,
		       cgroup_metric_infos[families[i].metric].help);
		for (size_t j = 0; j < f->n; j++)
			cgroup_samples(out, families[i].name, &f->list[j], families[i].metric);
	}
}

int metrics_write(struct buf *out, const struct metrics_input *in, bool openmetrics)
{
	struct fleet fleet;

	if (fleet_init(&fleet, in->registry) < 0)
		return -ENOMEM;
	write_self(out, openmetrics, in);
	if (in->stats)
		write_stats(out, openmetrics, in->stats);
	if (in->sizes)
		write_sizes(out, openmetrics, in->sizes);
	write_agents(out, openmetrics, in->registry);
	write_hosts(out, openmetrics, &fleet, in->now_us);
	write_kills(out, openmetrics, &fleet);
	write_services(out, openmetrics, &fleet, in->now_us);
	write_pythons(out, openmetrics, &fleet);
	write_cgroups(out, openmetrics, &fleet);
	if (openmetrics)
		buf_puts(out, "# EOF\n");
	free(fleet.list);
	return buf_status(out);
}

void metrics_get(struct call *c)
{
	const struct api *a = c->api;
	const char *accept = http_request_header(c->req, "Accept");
	bool openmetrics = accept && strstr(accept, "application/openmetrics-text");
	const struct peer_stats *peers = http_peer_stats(a->http);
	const struct metrics_input in = {
		.registry = a->ctx.registry,
		.stats = a->ctx.stats,
		.sizes = a->ctx.store ? store_sizes(a->ctx.store) : NULL,
		.http_requests = a->requests,
		.http_refused = peers->refused,
		.http_connections = peers->open,
		.auth_failures = a->failures,
		.database_up = api_db(a) != NULL,
		.now_us = c->now_us,
	};

	if (metrics_write(&c->out, &in, openmetrics) < 0)
		call_fail(c, 500, "the metrics are larger than %d bytes", CALL_BODY_MAX);
	else
		call_reply_text(c, 200, openmetrics ? TYPE_OPEN : TYPE_TEXT, c->out.data,
				c->out.len);
}
