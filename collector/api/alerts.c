/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/api/cells.h"
#include "collector/api/change.h"
#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/store/store_alert.h"

static void write_id(struct json_writer *w, const char *key, int64_t id)
{
	if (id)
		jw_k_id(w, key, id);
	else
		jw_k_null(w, key);
}

static void write_alert(struct json_writer *w, const struct alert_row *a)
{
	jw_object(w);
	jw_k_id(w, "id", a->alert_id);
	jw_k_str(w, "rule", a->rule);
	jw_k_str(w, "title", a->title);
	jw_k_str(w, "level", a->level);
	jw_k_str(w, "state", a->state);
	write_id(w, "host_id", a->host_id);
	jw_k_str(w, "host", a->host);
	jw_k_str(w, "subject", a->subject);
	write_id(w, "process_id", a->proc_id);
	jw_k_str(w, "service", a->service);
	jw_k_time(w, "opened", a->opened_us);
	jw_k_time(w, "resolved", a->resolved_us);
	jw_k_time(w, "acked", a->acked_us);
	jw_k_str(w, "acked_by", a->acked_us ? a->acked_by : NULL);
	jw_k_num(w, "first_value", a->first_value);
	jw_k_num(w, "peak_value", a->peak_value);
	jw_k_num(w, "last_value", a->last_value);
	jw_k_num(w, "resolved_value", a->resolved_value);
	jw_k_raw(w, "evidence", a->doc);
	jw_object_end(w);
}

static void write_row(struct json_writer *w, const struct db_result *r, size_t i, char *cursor)
{
	struct alert_row row;

	store_alert_row(r, i, &row);
	write_alert(w, &row);
	snprintf(cursor, ROWS_CURSOR_SIZE, "%" PRId64, row.alert_id);
}

static const struct row_kind alert_rows = {.name = "alert", .write = write_row};

static const struct cells_list of_cells = {.path = "/alerts", .key = "opened"};

void alert_list(struct call *c)
{
	struct alert_filter f = {.state = query_get(&c->query, "state")};
	struct db *db;

	if (cells_take(c, &of_cells))
		return;
	if (!call_query_host(c, &f.host_id))
		return;
	if (f.state && strcmp(f.state, "firing") != 0 && strcmp(f.state, "resolved") != 0) {
		call_fail(c, 400, "parameter 'state' must be firing or resolved, not '%.64s'",
			  f.state);
		return;
	}
	if (!call_limit(c) || !call_query_int(c, "cursor", 0, 1, INT64_MAX, &f.before_id))
		return;
	f.limit = c->limit + 1;
	db = rows_db(c, &alert_rows);
	if (db)
		rows_asked(c, store_alert_list(db, &f, rows_list, c));
}

void alert_get(struct call *c)
{
	rows_get(c, &alert_rows, store_alert_get);
}

static void on_acked(struct call *c)
{
	call_reply(c, 200);
}

static json_t *take_acked(struct call *c, const struct db_result *r, bool *ret_idle)
{
	struct alert_row row;

	store_alert_row(r, 0, &row);
	c->object_id = row.alert_id;
	*ret_idle = row.acked_us != c->now_us;
	write_alert(&c->json, &row);
	return json_pack("{s:s, s:s, s:s}", "rule", row.rule, "host", row.host, "subject",
			 row.subject);
}

void alert_ack(struct call *c)
{
	static const struct change_kind kind = {.action = "alert.ack",
						.target = "alert",
						.take = take_acked,
						.done = on_acked,
						.missing = "alert"};
	struct db_tx *tx;
	int64_t id;

	if (cells_refuse(c) || !call_id(c, c->params[0], &id))
		return;
	tx = change_begin(c, &kind);
	if (tx)
		change_commit(c, tx, store_alert_ack(tx, id, c->who.name, c->now_us, change_row));
}
