/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/api/view.h"
#include "collector/store/store_event.h"
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

/* False when the call has been ended. */
static bool take_cursor(struct call *c, struct event_place *at)
{
	const char *text = query_get(&c->query, "cursor");
	int end = 0;

	if (!text)
		return true;
	if (sscanf(text, "%" SCNd64 ".%" SCNd32 ".%" SCNd64 ".%" SCNd64 ".%" SCNd16 "%n", &at->t_us,
		   &at->host_id, &at->epoch, &at->seq, &at->idx, &end) == 5 &&
	    text[end] == '\0')
		return true;
	call_fail(c, 400, "cursor '%.64s' is not one that was given here", text);
	return false;
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
	struct db *db;

	if (!call_query_host(c, &f.host_id))
		return;
	if (f.kind && !is_kind(f.kind)) {
		call_fail(c, 400, "there is no kind of event '%.64s'", f.kind);
		return;
	}
	if (!call_limit(c) || !take_cursor(c, &f.after) ||
	    !call_query_time(c, "from", c->now_us - SPAN_PRESET_US, &f.from_us) ||
	    !call_query_time(c, "to", c->now_us + 3600 * USEC_PER_SEC, &f.to_us))
		return;
	f.limit = c->limit + 1;
	db = rows_reader(c, &kind);
	if (db)
		rows_asked(c, store_event_list(db, &f, rows_list, c));
}
