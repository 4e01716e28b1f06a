/* SPDX-License-Identifier: Apache-2.0 */
/* Censuses: what the objects of Python processes are, and which types grow. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "collector/api/api.h"
#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/api/view.h"
#include "collector/store/store_census.h"
#include "common/clock.h"
#include "common/str.h"
#include "proto/python.h"

#define SPAN_PRESET_US  (24 * 3600 * USEC_PER_SEC)
#define DIFF_PRESET     50
#define DIFF_MAX        1024 /* of both together */
#define TYPES_PRESET    12
#define TYPES_MAX       64
#define CENSUSES_MAX    500
#define GROWTH_ROWS_MAX 1000
#define ERROR_PER_10000 1e4
#define USEC            1e6

static void write_version(struct json_writer *w, int64_t version)
{
	char text[PYTHON_VERSION_SIZE];

	jw_k_str(w, "version",
		 version > 0 && version <= UINT32_MAX ? python_version_text(text, (uint32_t)version)
						      : NULL);
}

/* The members of an open object that lists tell, too. */
static void write_head(struct json_writer *w, const struct census_row *c)
{
	jw_k_id(w, "id", c->census_id);
	jw_k_time(w, "time", c->t_us);
	jw_k_id(w, "host_id", c->host_id);
	jw_k_str(w, "host", c->host);
	jw_k_id(w, "process_id", c->proc_id);
	jw_k_int(w, "pid", c->pid);
	view_text(w, "service", c->service);
	view_text(w, "comm", c->comm);
	jw_k_str(w, "method", c->method);
	jw_k_str(w, "reason", c->reason);
	view_text(w, "action_id", c->command_id);
	write_version(w, c->version);
	jw_k_int(w, "interpreters", c->interpreters);
	jw_k_num(w, "pause_seconds", (double)c->pause_us / USEC);
	jw_k_num(w, "walk_seconds", (double)c->walk_us / USEC);
	jw_k_int(w, "objects", c->objects);
	jw_k_int(w, "objects_bytes", c->bytes);
	jw_k_int(w, "types_total", c->types_total);
	jw_k_num(w, "error_ratio", c->error_per_10000 / ERROR_PER_10000);
	jw_k_raw(w, "parts", c->parts);
	view_text(w, "note", c->note);
}

static void write_listed(struct json_writer *w, const struct db_result *r, size_t i, char *cursor)
{
	struct census_row row;

	store_census_row(r, i, &row);
	jw_object(w);
	write_head(w, &row);
	jw_object_end(w);
	snprintf(cursor, ROWS_CURSOR_SIZE, "%" PRId64 ".%" PRId64, row.t_us, row.census_id);
}

static void write_one(struct json_writer *w, const struct db_result *r, size_t i,
		      char *cursor unused_arg)
{
	struct census_row row;

	store_census_row(r, i, &row);
	jw_object(w);
	write_head(w, &row);
	jw_k_raw(w, "types", store_census_types(r, i));
	jw_object_end(w);
}

/* The host of a process that lives: what is asked of the database is then one look-up. 0 = ask each
 * host. */
static int32_t host_of(struct call *c, int64_t proc_id)
{
	struct host *h;

	return view_find_process(c->api->ctx.registry, proc_id, &h) ? h->host_id : 0;
}

void process_censuses(struct call *c)
{
	static const struct row_kind kind = {.name = "census", .write = write_listed};
	struct census_filter f = {0};
	struct db *db;

	if (!call_id(c, c->params[0], &f.proc_id) || !call_limit(c) ||
	    !call_cursor(c, &f.after_us, &f.after_census, 1))
		return;
	f.host_id = host_of(c, f.proc_id);
	f.limit = c->limit + 1;
	db = rows_db(c, &kind);
	if (db)
		rows_asked(c, store_census_list(db, &f, rows_list, c));
}

void census_get(struct call *c)
{
	static const struct row_kind kind = {.name = "census", .write = write_one};

	rows_get(c, &kind, store_census_get);
}

/* ---- differences ---- */

static void write_side(struct json_writer *w, const char *key, const struct census_diff_row *d,
		       unsigned side)
{
	jw_key(w, key);
	jw_object(w);
	jw_k_id(w, "id", d->id[side]);
	jw_k_time(w, "time", d->t_us[side]);
	jw_k_id(w, "process_id", d->proc_id[side]);
	view_text(w, "service", d->service[side]);
	jw_k_int(w, "objects", d->objects[side]);
	jw_k_int(w, "objects_bytes", d->bytes[side]);
	jw_k_raw(w, "parts", d->parts[side]);
	jw_object_end(w);
}

/* Two processes can be compared when they do the same work. */
static bool comparable(const struct census_diff_row *d)
{
	return d->proc_id[0] == d->proc_id[1] ||
	       (*d->service[0] && strcmp(d->service[0], d->service[1]) == 0);
}

static void on_diff(void *arg, int rc, const struct db_result *r,
		    const struct error *err unused_arg)
{
	struct call *c = call_of(arg);
	struct json_writer *w = &c->json;
	struct census_diff_row d;

	if (!rows_found(c, rc, r))
		return;
	store_census_diff_row(r, 0, &d);
	if (!d.id[1]) {
		call_fail(c, 404,
			  query_get(&c->query, "base")
				  ? "there is no census 'base'"
				  : "there is no census before this one of its process");
		return;
	}
	if (!comparable(&d)) {
		call_fail(c, 422, "the two are neither of one process nor of one service");
		return;
	}
	jw_object(w);
	write_side(w, "census", &d, 0);
	write_side(w, "base", &d, 1);
	jw_k_num(w, "span_seconds", (double)(d.t_us[0] - d.t_us[1]) / USEC);
	jw_k_int(w, "objects_growth", d.objects[0] - d.objects[1]);
	jw_k_int(w, "objects_bytes_growth", d.bytes[0] - d.bytes[1]);
	jw_k_raw(w, "types", d.types);
	jw_object_end(w);
	call_reply(c, 200);
}

void census_diff(struct call *c)
{
	static const struct row_kind kind = {.name = "census"};
	const char *base = query_get(&c->query, "base");
	int64_t base_id = 0;
	struct db *db;
	int64_t id;
	int64_t top;

	if (!call_id(c, c->params[0], &id) || (base && !call_id(c, base, &base_id)) ||
	    !call_query_int(c, "top", DIFF_PRESET, 1, DIFF_MAX, &top))
		return;
	db = rows_db(c, &kind);
	if (db)
		rows_asked(c,
			   store_census_diff(db, id, base ? &base_id : NULL, (int)top, on_diff, c));
}

/* ---- series ---- */

static void on_types(void *arg, int rc, const struct db_result *r,
		     const struct error *err unused_arg)
{
	struct call *c = call_of(arg);
	struct json_writer *w = &c->json;

	if (!rows_found(c, rc, r))
		return;
	jw_object(w);
	jw_k_id(w, "process_id", c->object_id);
	jw_k_raw(w, "times", db_text(r, 0, 0));
	jw_k_raw(w, "objects_bytes", db_text(r, 0, 1));
	jw_k_raw(w, "items", db_text(r, 0, 2));
	jw_object_end(w);
	call_reply(c, 200);
}

void process_types(struct call *c)
{
	static const struct row_kind kind = {.name = "process"};
	struct census_types_filter f = {.name = query_get(&c->query, "name"),
					.censuses = CENSUSES_MAX};
	struct db *db;
	int64_t top;

	if (!call_id(c, c->params[0], &c->object_id) ||
	    !call_query_time(c, "from", c->now_us - SPAN_PRESET_US, &f.from_us) ||
	    !call_query_time(c, "to", c->now_us + USEC_PER_SEC, &f.to_us) ||
	    !call_query_int(c, "top", TYPES_PRESET, 1, TYPES_MAX, &top))
		return;
	f.proc_id = c->object_id;
	f.host_id = host_of(c, f.proc_id);
	f.top = (int)top;
	db = rows_reader(c, &kind);
	if (db)
		rows_asked(c, store_census_series(db, &f, on_types, c));
}

/* ---- the fleet ---- */

static void write_growth(struct json_writer *w, const struct db_result *r, size_t i,
			 char *cursor unused_arg)
{
	struct census_growth_row g;

	store_census_growth_row(r, i, &g);
	jw_object(w);
	view_text(w, "service", g.service);
	jw_k_str(w, "name", g.name);
	jw_k_int(w, "hosts", g.hosts);
	jw_k_int(w, "processes", g.processes);
	jw_k_int(w, "count_growth", g.count);
	jw_k_int(w, "bytes_growth", g.bytes);
	jw_k_int(w, "bytes_per_hour", g.bytes_per_hour);
	jw_object_end(w);
}

void census_growth(struct call *c)
{
	static const struct row_kind kind = {.name = "type", .write = write_growth};
	const char *service = query_get(&c->query, "service");
	struct db *db;
	int32_t host;
	int64_t from;

	if (!call_query_host(c, &host) || !call_limit(c) ||
	    !call_query_time(c, "from", c->now_us - SPAN_PRESET_US, &from))
		return;
	c->limit = MIN_OF(c->limit, GROWTH_ROWS_MAX);
	db = rows_reader(c, &kind);
	if (db)
		rows_asked(c, store_census_growth(db, from, host, service, c->limit, rows_list, c));
}
