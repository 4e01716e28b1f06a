/* SPDX-License-Identifier: Apache-2.0 */
/* When nothing is to be done to the fleet or a part of it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/api/api.h"
#include "collector/api/cells.h"
#include "collector/api/change.h"
#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/fleet/registry.h"
#include "collector/store/store_maintenance.h"
#include "common/clock.h"
#include "common/str.h"

#define CLOCKS_US (60 * USEC_PER_SEC) /* so far the asker's clock may be behind ours */

/* What it covers when it is set. */
struct cover {
	int64_t hosts;
	int64_t processes;
};

static const char *state_of(const struct maintenance_row *m, int64_t now_us)
{
	if (m->ended_us)
		return "ended";
	if (m->until_us <= now_us)
		return "over";
	return m->starts_us <= now_us ? "holds" : "planned";
}

static void write_maintenance(struct json_writer *w, const struct maintenance_row *m,
			      const struct cover *cover, int64_t now_us)
{
	jw_object(w);
	jw_k_id(w, "id", m->id);
	jw_k_str(w, "host", m->host);
	jw_k_str(w, "service", *m->service ? m->service : NULL);
	jw_k_str(w, "state", state_of(m, now_us));
	jw_k_time(w, "from", m->starts_us);
	jw_k_time(w, "until", m->until_us);
	jw_k_str(w, "reason", m->reason);
	jw_k_time(w, "created", m->created_us);
	jw_k_str(w, "created_by", m->created_by);
	jw_k_time(w, "ended", m->ended_us);
	jw_k_str(w, "ended_by", m->ended_us ? m->ended_by : NULL);
	if (cover) {
		jw_k_int(w, "covers_hosts", cover->hosts);
		jw_k_int(w, "covers_processes", cover->processes);
	}
	jw_object_end(w);
}

static void write_row(struct json_writer *w, const struct db_result *r, size_t i, char *cursor)
{
	struct maintenance_row row;

	store_maintenance_row(r, i, &row);
	write_maintenance(w, &row, NULL, clock_wall_us());
	snprintf(cursor, ROWS_CURSOR_SIZE, "%" PRId64, row.id);
}

void maintenance_list(struct call *c)
{
	static const struct row_kind kind = {.name = "maintenance", .write = write_row};
	const char *state = query_get(&c->query, "state");
	struct db *db;
	int64_t before;

	if (!call_limit(c) || !call_query_int(c, "cursor", 0, 1, INT64_MAX, &before))
		return;
	if (state && strcmp(state, "open") != 0) {
		call_fail(c, 400, "parameter 'state' must be 'open' (or left out), not '%.64s'",
			  state);
		return;
	}
	db = rows_db(c, &kind);
	if (db)
		rows_asked(c, store_maintenance_list(db, state, c->now_us, before, c->limit + 1,
						     rows_list, c));
}

/* ---- set ---- */

static bool covers(const struct maintenance_row *m, const struct host *h)
{
	char id[16];

	snprintf(id, sizeof(id), "%d", h->host_id);
	return strcmp(m->host, id) == 0 || str_glob(m->host, h->name ? h->name : "");
}

static void count_cover(const struct registry *r, const struct maintenance_row *m,
			struct cover *ret)
{
	*ret = (struct cover){0};
	for (const struct host *h = r->hosts; h; h = h->hh.next) {
		if (!covers(m, h))
			continue;
		ret->hosts++;
		for (const struct process *p = h->processes; p; p = p->hh.next)
			ret->processes += !*m->service || str_glob(m->service, p->service);
	}
}

static void on_set(struct call *c)
{
	call_reply(c, 201);
}

static json_t *take_set(struct call *c, const struct db_result *r, bool *ret_idle unused_arg)
{
	const struct cover *cover = c->kept;
	struct maintenance_row row;
	char from[STR_TIME_SIZE], until[STR_TIME_SIZE];

	store_maintenance_row(r, 0, &row);
	c->object_id = row.id;
	write_maintenance(&c->json, &row, cover, c->now_us);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "host", row.host, "service",
			 row.service, "from", str_time(from, row.starts_us), "until",
			 str_time(until, row.until_us), "reason", row.reason, "covers_hosts",
			 (json_int_t)cover->hosts, "covers_processes",
			 (json_int_t)cover->processes);
}

/* A member that says when; false when the call has been ended. */
static bool take_time(struct call *c, const char *name, const char *preset, int64_t *ret_us)
{
	char pointer[16];
	const char *text;

	if (!call_string(c, name, preset, 64, &text))
		return false;
	if (str_parse_time(text, c->now_us, ret_us) == 0)
		return true;
	snprintf(pointer, sizeof(pointer), "/%s", name);
	call_invalid(c, pointer, "'%s' must be a time as 2026-01-02T03:04:05Z, not '%.64s'", name,
		     text);
	return false;
}

static bool take_times(struct call *c, struct maintenance_row *row)
{
	if (!take_time(c, "from", "now", &row->starts_us) ||
	    !take_time(c, "until", NULL, &row->until_us))
		return false;
	if (row->starts_us < c->now_us - CLOCKS_US)
		call_invalid(c, "/from", "'from' lies in the past");
	else if (row->starts_us > c->now_us + MAINTENANCE_AHEAD_US)
		call_invalid(c, "/from", "'from' lies more than 90 days ahead");
	else if (row->until_us <= MAX_OF(row->starts_us, c->now_us))
		call_invalid(c, "/until", "'until' must come after now, and after 'from'");
	else if (row->until_us > row->starts_us + MAINTENANCE_MAX_US)
		call_invalid(c, "/until",
			     "maintenance lasts 30 days at most: 'until' comes too late");
	else
		return true;
	return false;
}

static bool take_words(struct call *c, struct maintenance_row *row)
{
	const char *host, *service, *reason;

	if (!call_string(c, "host", NULL, sizeof(row->host) - 1, &host) ||
	    !call_string(c, "service", "", sizeof(row->service) - 1, &service) ||
	    !call_string(c, "reason", NULL, sizeof(row->reason) - 1, &reason))
		return false;
	if (!*reason) {
		call_invalid(c, "/reason", "'reason' must say why nothing may be done");
		return false;
	}
	(void)str_copy(row->host, sizeof(row->host), host);
	(void)str_copy(row->service, sizeof(row->service), service);
	(void)str_copy(row->reason, sizeof(row->reason), reason);
	return true;
}

void maintenance_set(struct call *c)
{
	static const char *const names[] = {"host", "service", "from", "until", "reason", NULL};
	static const struct change_kind kind = {
		.action = "maintenance.set",
		.target = "maintenance",
		.take = take_set,
		.done = on_set,
		.none = "as many maintenances are to come or under way as may be: end one",
	};
	struct maintenance_row row = {.created_us = c->now_us};
	struct cover *cover;
	struct db_tx *tx;

	if (cells_refuse(c) || !call_object(c, names) || !take_words(c, &row) ||
	    !take_times(c, &row))
		return;
	c->kept = cover = malloc(sizeof(*cover));
	if (!cover) {
		call_fail(c, 503, "out of memory");
		return;
	}
	count_cover(c->api->ctx.registry, &row, cover);
	if (!cover->hosts) {
		call_invalid(c, "/host",
			     "no host has the id '%.64s' or a name like it (* and ? stand for any "
			     "letters, for one)",
			     row.host);
		return;
	}
	(void)str_copy(row.created_by, sizeof(row.created_by), c->who.name);
	tx = change_begin(c, &kind);
	if (tx)
		change_commit(c, tx, store_maintenance_add(tx, &row, change_row));
}

/* ---- ended before its time ---- */

static void on_over(struct call *c)
{
	call_reply_empty(c, 204);
}

static json_t *take_ended(struct call *c, const struct db_result *r, bool *ret_idle unused_arg)
{
	struct maintenance_row row;
	char until[STR_TIME_SIZE];

	store_maintenance_row(r, 0, &row);
	c->object_id = row.id;
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "host", row.host, "service", row.service,
			 "until", str_time(until, row.until_us), "reason", row.reason, "set_by",
			 row.created_by);
}

void maintenance_end(struct call *c)
{
	static const struct change_kind kind = {.action = "maintenance.end",
						.target = "maintenance",
						.take = take_ended,
						.done = on_over,
						.missing = "maintenance to come or under way"};
	struct db_tx *tx;
	int64_t id;

	if (cells_refuse(c) || !call_id(c, c->params[0], &id))
		return;
	tx = change_begin(c, &kind);
	if (tx)
		change_commit(c, tx,
			      store_maintenance_end(tx, id, c->now_us, c->who.name, change_row));
}
