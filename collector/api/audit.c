/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/store/store_audit.h"
#include "common/str.h"

static void write_entry(struct json_writer *w, const struct audit_row *a)
{
	char hash[2 * SHA256_SIZE + 1];

	jw_object(w);
	jw_k_id(w, "id", a->audit_id);
	jw_k_time(w, "time", a->ts_us);
	jw_k_str(w, "actor", a->actor);
	jw_k_str(w, "action", a->action);
	jw_k_str(w, "target", a->target);
	jw_k_raw(w, "details", a->doc);
	str_hex(hash, a->prev, SHA256_SIZE);
	jw_k_str(w, "previous_hash", hash);
	str_hex(hash, a->hash, SHA256_SIZE);
	jw_k_str(w, "hash", hash);
	jw_object_end(w);
}

static void write_row(struct json_writer *w, const struct db_result *r, size_t i, char *cursor)
{
	struct audit_row row;

	store_audit_row(r, i, &row);
	write_entry(w, &row);
	snprintf(cursor, ROWS_CURSOR_SIZE, "%" PRId64, row.audit_id);
}

/* Oldest first, as the chain runs. */
void audit_list(struct call *c)
{
	static const struct row_kind kind = {.name = "audit row", .write = write_row};
	struct db *db;
	int64_t after;

	if (!call_limit(c) || !call_query_int(c, "cursor", 0, 0, INT64_MAX, &after))
		return;
	db = rows_db(c, &kind);
	if (db)
		rows_asked(c, store_audit_list(db, after, c->limit + 1, rows_list, c));
}
