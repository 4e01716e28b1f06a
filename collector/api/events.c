/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/api/api.h"
#include "collector/api/resource.h"
#include "collector/api/view.h"
#include "collector/store/store_event.h"
#include "common/clock.h"
#include "proto/wire.h"

#define CURSOR_SIZE    112
#define SPAN_PRESET_US (24 * 3600 * USEC_PER_SEC)

static void write_event(struct json_writer *w, const struct event_row *e)
{
	jw_object(w);
	jw_k_time(w, "time", e->at.t_us);
	jw_k_str(w, "kind", e->kind);
	jw_k_id(w, "host_id", e->at.host_id);
	jw_k_str(w, "host", e->host);
	jw_key(w, "process_id");
	if (e->proc_id)
		jw_id(w, e->proc_id);
	else
		jw_null(w);
	jw_k_raw(w, "details", e->doc);
	jw_object_end(w);
}

static void on_events(void *arg, int rc, const struct db_result *r,
		      const struct error *err unused_arg)
{
	struct call *c = call_of(arg);
	struct event_row row = {0};
	char cursor[CURSOR_SIZE];
	size_t n;
	size_t shown;

	if (rc < 0) {
		call_fail_db(c, rc);
		return;
	}
	n = db_rows(r);
	shown = MIN_OF(n, (size_t)c->limit);
	call_list(c);
	for (size_t i = 0; i < shown; i++) {
		store_event_row(r, i, &row);
		write_event(&c->json, &row);
	}
	snprintf(cursor, sizeof(cursor), "%" PRId64 ".%" PRId32 ".%" PRId64 ".%" PRId64 ".%d",
		 row.at.t_us, row.at.host_id, row.at.epoch, row.at.seq, row.at.idx);
	call_list_end(c, n > shown ? cursor : NULL);
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
	const char *host = query_get(&c->query, "host");
	struct event_filter f = {.kind = query_get(&c->query, "kind")};
	struct host *h = host ? view_find_host(c->api->ctx.registry, host) : NULL;
	int rc;

	if (host && !h) {
		call_fail(c, 404, "there is no host '%.64s'", host);
		return;
	}
	if (f.kind && !is_kind(f.kind)) {
		call_fail(c, 400, "there is no kind of event '%.64s'", f.kind);
		return;
	}
	if (!call_limit(c) || !take_cursor(c, &f.after) ||
	    !call_query_time(c, "from", c->now_us - SPAN_PRESET_US, &f.from_us) ||
	    !call_query_time(c, "to", c->now_us + 3600 * USEC_PER_SEC, &f.to_us))
		return;
	f.host_id = h ? h->host_id : 0;
	f.limit = c->limit + 1; /* one more tells whether there is a next page */
	rc = api_db(c->api) ? store_event_list(c->api->ctx.db, &f, on_events, c) : -ENOTCONN;
	if (rc < 0)
		call_fail_db(c, rc);
}
