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

static void write_agents(struct buf *out, bool openmetrics, const struct registry *r)
{
	const struct host *h;
	unsigned up = 0;

	for (h = r->hosts; h; h = h->hh.next)
		up += h->connected;
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
static double host_bytes(const struct host *h, enum host_metric m)
{
	return h->v[m] == METRIC_ABSENT ? NAN : (double)h->v[m] * metric_scale(UNIT_KIB);
}

#define HOST_FAMILY_LIST(X)                                                                    \
	X(total_bytes, host_metric_infos[HOST_METRIC_TOTAL].help,                              \
	  host_bytes(h, HOST_METRIC_TOTAL))                                                    \
	X(available_bytes, host_metric_infos[HOST_METRIC_AVAILABLE].help,                      \
	  host_bytes(h, HOST_METRIC_AVAILABLE))                                                \
	X(swap_total_bytes, host_metric_infos[HOST_METRIC_SWAP_TOTAL].help,                    \
	  host_bytes(h, HOST_METRIC_SWAP_TOTAL))                                               \
	X(swap_free_bytes, host_metric_infos[HOST_METRIC_SWAP_FREE].help,                      \
	  host_bytes(h, HOST_METRIC_SWAP_FREE))                                                \
	X(up, "1 when the agent is connected", h->connected)                                   \
	X(processes, "processes alive", HASH_COUNT(h->processes))                              \
	X(agent_rss_bytes, "memory of the agent itself",                                       \
	  h->agent_rss_bytes ? (double)h->agent_rss_bytes : NAN)                               \
	X(time_to_oom_seconds,                                                                 \
	  "until no memory is available at the present rate; absent when it is not shrinking", \
	  time_to_oom(h, now_us))

static double time_to_oom(const struct host *h, int64_t now_us)
{
	int64_t us = host_time_to_oom_us(h, now_us);

	return us < 0 ? NAN : (double)us / USEC_PER_SEC;
}

static void write_hosts(struct buf *out, bool openmetrics, const struct fleet *f, int64_t now_us)
{
#define X(name, help, figure)                                            \
	family(out, openmetrics, "host_" #name, "gauge", help);          \
	for (size_t i = 0; i < f->n; i++) {                              \
		const struct host *h = f->list[i].h;                     \
		double v = figure;                                       \
                                                                         \
		if (!isnan(v))                                           \
			host_sample(out, "host_" #name, &f->list[i], v); \
	}
	HOST_FAMILY_LIST(X)
#undef X
}

/* ---- services ---- */

enum service_figure { SERVICE_RSS, SERVICE_GROWTH, SERVICE_PROCESSES };

static double figure_of(const struct service_sum *s, enum service_figure f)
{
	switch (f) {
	case SERVICE_RSS:
		return (double)s->rss_bytes;
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
		host_labels(out, name, e);
		buf_puts(out, ",service=\"");
		metrics_label(out, list[i].name);
		buf_puts(out, "\"}");
		value(out, figure_of(&list[i], f));
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

int metrics_write(struct buf *out, const struct metrics_input *in, bool openmetrics)
{
	struct fleet fleet;

	if (fleet_init(&fleet, in->registry) < 0)
		return -ENOMEM;
	write_self(out, openmetrics, in);
	if (in->stats)
		write_stats(out, openmetrics, in->stats);
	write_agents(out, openmetrics, in->registry);
	write_hosts(out, openmetrics, &fleet, in->now_us);
	write_services(out, openmetrics, &fleet, in->now_us);
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
