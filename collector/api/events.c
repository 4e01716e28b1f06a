/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/api/view.h"
#include "collector/store/store_event.h"
#include "common/check.h"
#include "common/clock.h"
#include "proto/wire.h"

#define SPAN_PRESET_US (24 * 3600 * USEC_PER_SEC)

static void write_event(struct json_writer *w, const struct event_row *e)
{
	jw_object(w);
	jw_k_time(w, "time", e->at.t_us);
	jw_k_str(w, "kind", e->kind);
	jw_k_id(w, "host_id", e->at.host_id);
	jw_k_str(w, "host", e->host);
	view_known_id(w, "process_id", e->proc_id);
	view_text(w, "verdict", e->verdict);
	jw_k_raw(w, "details", e->doc);
	jw_object_end(w);
}

static void write_row(struct json_writer *w, const struct db_result *r, size_t i, char *cursor)
{
	struct event_row row;

	store_event_row(r, i, &row);
	write_event(w, &row);
	snprintf(cursor, ROWS_CURSOR_SIZE, "%" PRId64 ".%" PRId32 ".%" PRId64 ".%" PRId64 ".%d",
		 row.at.t_us, row.at.host_id, row.at.epoch, row.at.seq, row.at.idx);
}

static bool is_kind(const char *word)
{
	for (unsigned i = 0; i < 64; i++)
		if (wire_event_word(i) && strcmp(wire_event_word(i), word) == 0)
			return true;
	return false;
}

void event_list(struct call *c)
{
	static const struct row_kind kind = {.name = "event", .write = write_row};
	struct event_filter f = {.kind = query_get(&c->query, "kind")};
	int64_t at[4] = {0}; /* host, epoch, record, event of it */
	struct db *db;

	if (!call_query_host(c, &f.host_id))
		return;
	if (f.kind && !is_kind(f.kind)) {
		call_fail(c, 400, "there is no kind of event '%.64s'", f.kind);
		return;
	}
	if (!call_limit(c) || !call_cursor(c, &f.after.t_us, at, ARRAY_SIZE(at)) ||
	    !call_query_time(c, "from", c->now_us - SPAN_PRESET_US, &f.from_us) ||
	    !call_query_time(c, "to", c->now_us + 3600 * USEC_PER_SEC, &f.to_us))
		return;
	f.after.host_id = (int32_t)at[0];
	f.after.epoch = at[1];
	f.after.seq = at[2];
	f.after.idx = (int16_t)at[3];
	f.limit = c->limit + 1;
	db = rows_reader(c, &kind);
	if (db)
		rows_asked(c, store_event_list(db, &f, rows_list, c));
}
