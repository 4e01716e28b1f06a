/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/api/cells.h"
#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/api/view.h"
#include "collector/store/store_oom.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/str.h"
#include "proto/identity.h"
#include "proto/kill.h"

#define SPAN_PRESET_US (365 * 24 * 3600 * USEC_PER_SEC)
/* What a page about a kill draws of the time before it. */
#define BEFORE_US (60 * 60 * USEC_PER_SEC)
#define AFTER_US  (60 * USEC_PER_SEC)
#define PATH_SIZE 256

/* The members of an open object that lists tell, too. */
static void write_head(struct json_writer *w, const struct oom_row *k)
{
	jw_k_id(w, "id", k->kill_id);
	jw_k_time(w, "time", k->t_us);
	jw_k_id(w, "host_id", k->host_id);
	jw_k_str(w, "host", k->host);
	jw_k_str(w, "cause", k->cause);
	jw_k_str(w, "confidence", k->confidence);
	jw_k_bool(w, "oom", k->oom);
	jw_k_bool(w, "complete", k->complete);
	jw_k_bool(w, "replayed", k->replayed);
	view_known_id(w, "process_id", k->proc_id);
	view_count(w, "pid", k->pid);
	view_text(w, "comm", k->comm);
	view_text(w, "service", k->service);
	view_text(w, "container", k->container);
	view_number(w, "rss_bytes", k->rss_bytes);
	view_text(w, "limit_cgroup", k->limit_cgroup);
	view_text(w, "limit_owner", k->limit_owner);
	view_number(w, "limit_bytes", k->limit_bytes);
	view_text(w, "grower", k->grower);
	jw_k_str(w, "verdict", k->verdict);
}

static void write_listed(struct json_writer *w, const struct db_result *r, size_t i, char *cursor)
{
	struct oom_row row;

	store_oom_row(r, i, &row);
	jw_object(w);
	write_head(w, &row);
	jw_object_end(w);
	snprintf(cursor, ROWS_CURSOR_SIZE, "%" PRId64 ".%" PRId32 ".%" PRId64, row.t_us,
		 row.host_id, row.kill_id);
}

/* Where its hour before can be read: a path below /api/v1, or null. */
static void write_series(struct json_writer *w, const char *key, const char *object,
			 const char *metric, int64_t t_us)
{
	char from[STR_TIME_SIZE];
	char to[STR_TIME_SIZE];
	char path[PATH_SIZE];

	if (!object) {
		jw_k_null(w, key);
		return;
	}
	str_time(from, t_us - BEFORE_US);
	str_time(to, t_us + AFTER_US);
	snprintf(path, sizeof(path), "%s/series?metric=%s&from=%s&to=%s", object, metric, from, to);
	jw_k_str(w, key, path);
}

static void write_before(struct json_writer *w, const struct oom_row *k)
{
	char process[64];
	char host[64];
	char cgroup[96];

	snprintf(process, sizeof(process), "/processes/%" PRId64, k->proc_id);
	snprintf(host, sizeof(host), "/hosts/%" PRId32, k->host_id);
	snprintf(cgroup, sizeof(cgroup), "%s/cgroups/%" PRId64, host,
		 identity_cgroup(k->limit_cgroup));
	jw_key(w, "memory_before");
	jw_object(w);
	write_series(w, "victim", k->proc_id ? process : NULL, "rss", k->t_us);
	write_series(w, "limit", *k->limit_cgroup ? cgroup : NULL, "working_set", k->t_us);
	write_series(w, "host", host, "available", k->t_us);
	jw_object_end(w);
}

static void write_one(struct json_writer *w, const struct db_result *r, size_t i,
		      char *cursor unused_arg)
{
	struct oom_around around;
	struct oom_row row;

	store_oom_row(r, i, &row);
	store_oom_around(r, i, &around);
	jw_object(w);
	write_head(w, &row);
	jw_k_raw(w, "dossier", around.doc);
	jw_k_raw(w, "process", around.process);
	write_before(w, &row);
	jw_key(w, "recent");
	jw_object(w);
	jw_k_raw(w, "actions", around.actions);
	jw_k_raw(w, "service", around.service);
	jw_k_raw(w, "alerts", around.alerts);
	jw_object_end(w);
	jw_object_end(w);
}

static const struct cells_list of_cells = {.path = "/oom-events", .key = "time"};

void oom_event_list(struct call *c)
{
	static const struct row_kind kind = {.name = "OOM event", .write = write_listed};
	struct oom_filter f = {.service = query_get(&c->query, "service"),
			       .cause = query_get(&c->query, "cause")};
	int64_t at[2] = {0}; /* host, kill */
	struct db *db;

	if (cells_take(c, &of_cells))
		return;
	if (!call_query_host(c, &f.host_id))
		return;
	if (f.cause && kill_cause_find(f.cause) < 0) {
		call_fail(c, 400, "there is no cause '%.64s'", f.cause);
		return;
	}
	if (!call_limit(c) || !call_cursor(c, &f.after_us, at, ARRAY_SIZE(at)) ||
	    !call_query_time(c, "from", c->now_us - SPAN_PRESET_US, &f.from_us) ||
	    !call_query_time(c, "to", c->now_us + 3600 * USEC_PER_SEC, &f.to_us))
		return;
	f.after_host = (int32_t)at[0];
	f.after_kill = at[1];
	f.limit = c->limit + 1;
	db = rows_db(c, &kind);
	if (db)
		rows_asked(c, store_oom_list(db, &f, rows_list, c));
}

void oom_event_get(struct call *c)
{
	static const struct row_kind kind = {.name = "OOM event", .write = write_one};

	rows_get(c, &kind, store_oom_get);
}
