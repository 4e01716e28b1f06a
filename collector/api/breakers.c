/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "collector/api/change.h"
#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/store/store_breaker.h"
#include "common/clock.h"

static void write_breaker(struct json_writer *w, const struct breaker_row *b, int64_t now_us)
{
	jw_object(w);
	jw_k_str(w, "actor", b->actor);
	jw_k_str(w, "type", b->action);
	jw_k_bool(w, "open", !b->closed_us && b->until_us > now_us);
	jw_k_int(w, "results", b->results);
	jw_k_time(w, "opened", b->opened_us);
	jw_k_time(w, "until", b->until_us);
	jw_k_time(w, "closed", b->closed_us);
	jw_k_str(w, "closed_by", b->closed_us ? b->closed_by : NULL);
	jw_object_end(w);
}

static void write_row(struct json_writer *w, const struct db_result *r, size_t i,
		      char *cursor unused_arg)
{
	struct breaker_row row;

	store_breaker_row(r, i, &row);
	write_breaker(w, &row, clock_wall_us());
}

/* All at once: there are as many as rules that act. */
void breaker_list(struct call *c)
{
	static const struct row_kind kind = {.name = "breaker", .write = write_row};
	struct db *db = rows_db(c, &kind);

	if (db)
		rows_asked(c, store_breaker_list(db, BREAKERS_MAX, rows_list, c));
}

static void on_closed(struct call *c)
{
	call_reply(c, 200);
}

static json_t *take_closed(struct call *c, const struct db_result *r, bool *ret_idle)
{
	struct breaker_row row;

	store_breaker_row(r, 0, &row);
	*ret_idle = row.closed_us != c->now_us;
	write_breaker(&c->json, &row, c->now_us);
	return json_pack("{s:s, s:s}", "actor", row.actor, "action", row.action);
}

void breaker_close(struct call *c)
{
	static const struct change_kind kind = {.action = "breaker.close",
						.target = "breaker",
						.take = take_closed,
						.done = on_closed,
						.missing = "breaker of"};
	struct db_tx *tx = change_begin(c, &kind);

	if (tx)
		change_commit(c, tx,
			      store_breaker_close(tx, c->params[0], c->params[1], c->now_us,
						  c->who.name, change_row));
}
