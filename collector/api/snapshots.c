/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: what Python that was run in a process found there. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/api/api.h"
#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/api/snapshot_diff.h"
#include "collector/api/view.h"
#include "collector/store/store_snapshot.h"
#include "common/clock.h"
#include "common/str.h"

#define DIFF_PRESET 50
#define DIFF_MAX    1024 /* of both together */

/* The members of an open object that lists tell, too. */
static void write_head(struct json_writer *w, const struct snapshot_head *s)
{
	jw_k_id(w, "id", s->snapshot_id);
	jw_k_time(w, "time", s->t_us);
	jw_k_id(w, "host_id", s->host_id);
	jw_k_str(w, "host", s->host);
	jw_k_id(w, "process_id", s->proc_id);
	jw_k_int(w, "pid", s->pid);
	view_text(w, "service", s->service);
	view_text(w, "comm", s->comm);
	jw_k_str(w, "kind", s->kind);
	jw_k_str(w, "reason", s->reason);
	view_text(w, "action_id", s->command_id);
	view_text(w, "subject", s->subject);
	jw_k_raw(w, "totals", s->totals);
	view_text(w, "note", s->note);
}

static void write_listed(struct json_writer *w, const struct db_result *r, size_t i, char *cursor)
{
	struct snapshot_head s;

	store_snapshot_head(r, i, &s);
	jw_object(w);
	write_head(w, &s);
	jw_object_end(w);
	snprintf(cursor, ROWS_CURSOR_SIZE, "%" PRId64 ".%" PRId64, s.t_us, s.snapshot_id);
}

static void write_one(struct json_writer *w, const struct db_result *r, size_t i,
		      char *cursor unused_arg)
{
	struct snapshot_head s;

	store_snapshot_head(r, i, &s);
	jw_object(w);
	write_head(w, &s);
	jw_k_raw(w, "rows", store_snapshot_rows(r, i));
	jw_object_end(w);
}

/* Whose, of which kind, by which action; false when the call has been ended. */
static bool take_filter(struct call *c, struct snapshot_filter *f)
{
	const char *process = query_get(&c->query, "process");
	uint8_t id[16];
	struct host *h;

	f->kind = query_get(&c->query, "kind");
	f->command_id = query_get(&c->query, "action");
	if (process && !call_id(c, process, &f->proc_id))
		return false;
	if (f->kind && !snapshot_layout_find(f->kind)) {
		call_fail(c, 400,
			  "there is no kind '%.64s' of snapshot: tracemalloc, referrers or sizes",
			  f->kind);
		return false;
	}
	if (f->command_id && uuid_parse(id, f->command_id) < 0) {
		call_fail(c, 400, "action '%.64s' is no id of an action", f->command_id);
		return false;
	}
	/* the host of a process that lives is known: then only its snapshots are looked at */
	if (f->proc_id && !f->host_id && view_find_process(c->api->ctx.registry, f->proc_id, &h))
		f->host_id = h->host_id;
	return true;
}

void snapshot_list(struct call *c)
{
	static const struct row_kind kind = {.name = "snapshot", .write = write_listed};
	struct snapshot_filter f = {0};
	struct db *db;

	if (!call_query_host(c, &f.host_id) || !take_filter(c, &f) || !call_limit(c) ||
	    !call_cursor(c, &f.after_us, &f.after_snapshot, 1))
		return;
	f.limit = c->limit + 1;
	db = rows_db(c, &kind);
	if (db)
		rows_asked(c, store_snapshot_list(db, &f, rows_list, c));
}

void snapshot_get(struct call *c)
{
	static const struct row_kind kind = {.name = "snapshot", .write = write_one};

	rows_get(c, &kind, store_snapshot_get);
}

/* ---- differences ---- */

static void write_side(struct json_writer *w, const char *key, const struct snapshot_head *s)
{
	jw_key(w, key);
	jw_object(w);
	write_head(w, s);
	jw_object_end(w);
}

/* Two processes can be compared when they do the same work. */
static bool comparable(const struct snapshot_head *a, const struct snapshot_head *b)
{
	return strcmp(a->kind, b->kind) == 0 && strcmp(a->subject, b->subject) == 0 &&
	       (a->proc_id == b->proc_id || (*a->service && strcmp(a->service, b->service) == 0));
}

static void answer_diff(struct call *c, const struct db_result *r, const struct snapshot_head *now,
			const struct snapshot_head *base)
{
	const struct snapshot_layout *layout = snapshot_layout_find(now->kind);
	struct json_writer *w = &c->json;
	json_t *rows = NULL;
	char *text = NULL;
	struct error err;

	if (layout &&
	    snapshot_diff_rows(layout, store_snapshot_rows(r, 0), store_snapshot_rows(r, 1),
			       (size_t)c->object_id, &rows, &err) == 0)
		text = json_dumps(rows, JSON_COMPACT);
	json_decref(rows);
	if (!text) {
		call_fail(c, 500, "the two cannot be compared: %s",
			  layout ? err.msg : "their kind is not known here");
		return;
	}
	jw_object(w);
	write_side(w, "snapshot", now);
	write_side(w, "base", base);
	jw_k_num(w, "span_seconds", (double)(now->t_us - base->t_us) / USEC_PER_SEC);
	jw_k_raw(w, "rows", text);
	jw_object_end(w);
	free(text);
	call_reply(c, 200);
}

static void on_pair(void *arg, int rc, const struct db_result *r,
		    const struct error *err unused_arg)
{
	struct call *c = call_of(arg);
	bool named = query_get(&c->query, "base");
	struct snapshot_head now;
	struct snapshot_head base;
	int64_t id;

	if (!rows_found(c, rc, r))
		return;
	store_snapshot_head(r, 0, &now);
	/* the base may be there without it */
	if (str_parse_int(c->params[0], &id) < 0 || now.snapshot_id != id) {
		call_fail(c, 404, "there is no snapshot '%.64s'", c->params[0]);
		return;
	}
	if (db_rows(r) < 2) {
		call_fail(
			c, 404,
			named ? "there is no snapshot 'base'"
			      : "there is no snapshot of that kind before this one of its process");
		return;
	}
	store_snapshot_head(r, 1, &base);
	if (comparable(&now, &base))
		answer_diff(c, r, &now, &base);
	else
		call_fail(c, 422,
			  "the two are not of one kind, about one type, and of one process or "
			  "service");
}

void snapshot_diff(struct call *c)
{
	static const struct row_kind kind = {.name = "snapshot"};
	const char *base = query_get(&c->query, "base");
	int64_t base_id = 0;
	struct db *db;
	int64_t id;

	if (!call_id(c, c->params[0], &id) || (base && !call_id(c, base, &base_id)) ||
	    !call_query_int(c, "top", DIFF_PRESET, 1, DIFF_MAX, &c->object_id))
		return;
	db = rows_db(c, &kind);
	if (db)
		rows_asked(c, store_snapshot_pair(db, id, base_id, on_pair, c));
}
