/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view.h - hosts and processes of the registry as JSON, the same in every resource; and how a
 * parameter names a host.
 */
#ifndef MEMHERD_COLLECTOR_API_VIEW_H
#define MEMHERD_COLLECTOR_API_VIEW_H

#include "collector/fleet/registry.h"
#include "common/json.h"

#define VIEW_GROWTH_SPAN_US (60 * 60 * 1000000LL)

/* An object; spark adds the last hour of available memory as [[unix seconds, bytes], ...]. */
void view_host(struct json_writer *w, struct host *h, int64_t now_us, bool spark);
void view_process(struct json_writer *w, const struct host *h, const struct process *p,
		  int64_t now_us);
/* Bytes an hour, or NaN when too little is known. */
double view_growth(const struct process *p, int64_t now_us);
/* The member "culprit" of an open object: what grows most, or null. */
void view_culprit(struct json_writer *w, struct host *h, int64_t now_us);

/* By id or else by name; NULL. */
struct host *view_find_host(struct registry *r, const char *text);
/* The process of that id, on whichever host; NULL. */
struct process *view_find_process(struct registry *r, int64_t proc_id, struct host **ret_host);

/* What a metric's stored value is to users: 'rss' in KiB becomes "rss_bytes" in bytes. ABSENT
 * becomes null. */
void view_metric(struct json_writer *w, const struct metric_info *m, int64_t v);

#endif
