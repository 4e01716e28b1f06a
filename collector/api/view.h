/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view.h - hosts, processes and cgroups of the registry as JSON, the same in every resource; and
 * how a parameter names a host.
 */
#ifndef MEMHERD_COLLECTOR_API_VIEW_H
#define MEMHERD_COLLECTOR_API_VIEW_H

#include "collector/fleet/registry.h"
#include "common/json.h"

#define VIEW_GROWTH_SPAN_US (60 * 60 * 1000000LL)

/* What view_host() adds to a host. */
enum view_more {
	VIEW_SPARK = 1,   /* the last hour of available memory as [[unix seconds, bytes], ...] */
	VIEW_POSTURE = 2, /* what its agent found of how it is set up */
};

/* ... and view_process() to a process. */
enum view_process_more {
	VIEW_VERDICT = 1, /* why it grows */
};

/* An object; more: of enum view_more, or view_process_more. */
void view_host(struct json_writer *w, struct host *h, int64_t now_us, unsigned more);
void view_process(struct json_writer *w, const struct host *h, const struct process *p,
		  int64_t now_us, unsigned more);
/* The member "verdict" of an open object: why it grows, or null when no interpreter is in it. */
void view_verdict(struct json_writer *w, const struct host *h, const struct process *p);
void view_cgroup(struct json_writer *w, const struct host *h, const struct cgroup *g,
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
#define VIEW_KEY_SIZE 48
/* ... and the member's name. */
void view_metric_key(char out[VIEW_KEY_SIZE], const struct metric_info *m);

/* Members whose value may not be known: '' , 0, 0 and a negative become null. */
void view_text(struct json_writer *w, const char *key, const char *text);
void view_count(struct json_writer *w, const char *key, int64_t v);
void view_known_id(struct json_writer *w, const char *key, int64_t id);
void view_number(struct json_writer *w, const char *key, int64_t v);

#endif
