/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - the Prometheus text of /metrics: text format 0.0.4, or OpenMetrics 1.0 where the
 * scraper asks for it. Series are per host, per service and per limited cgroup or container (the
 * largest of each host), never per process, so their number is bounded by the fleet. Pure.
 */
#ifndef MEMHERD_COLLECTOR_API_METRICS_H
#define MEMHERD_COLLECTOR_API_METRICS_H

#include "collector/fleet/registry.h"
#include "collector/stats.h"
#include "collector/store/store_size.h"
#include "common/buf.h"
#include "common/check.h"

#define METRICS_SERVICES_TOP 20
#define METRICS_CGROUPS_TOP  20

struct metrics_input {
	const struct registry *registry;
	const struct collector_stats *stats; /* may be NULL */
	const struct store_sizes *sizes;     /* may be NULL */
	uint64_t http_requests;
	uint64_t http_refused; /* malformed or over a cap, before there was a request */
	uint64_t auth_failures;
	unsigned http_connections;
	bool database_up;
	int64_t now_us;
};

/* -ENOMEM, or buf_status of out. Of hosts with one name the later ones are 'NAME#ID'. */
int metrics_write(struct buf *out, const struct metrics_input *in, bool openmetrics) must_use;
/* A label's value between its quotes: backslash, quote and line end escaped, as the formats say. */
void metrics_label(struct buf *out, const char *value);

#endif
