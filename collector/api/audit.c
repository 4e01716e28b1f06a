/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "collector/api/api.h"
#include "collector/api/resource.h"
#include "collector/store/store_audit.h"
#include "common/str.h"

static void write_row(struct json_writer *w, const struct audit_row *a)
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

static void on_rows(void *arg, int rc, const struct db_result *r,
		    const struct error *err unused_arg)
{
	struct call *c = call_of(arg);
	struct audit_row row = {0};
	char cursor[24];
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
		store_audit_row(r, i, &row);
		write_row(&c->json, &row);
	}
	snprintf(cursor, sizeof(cursor), "%" PRId64, row.audit_id);
	call_list_end(c, n > shown ? cursor : NULL);
}

/* Oldest first, as the chain runs. */
void audit_list(struct call *c)
{
	int64_t after;
	int rc;

	if (!call_limit(c) || !call_query_int(c, "cursor", 0, 0, INT64_MAX, &after))
		return;
	rc = api_db(c->api) ? store_audit_list(c->api->ctx.db, after, c->limit + 1, on_rows, c)
			    : -ENOTCONN;
	if (rc < 0)
		call_fail_db(c, rc);
}
