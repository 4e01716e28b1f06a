/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/api/api.h"
#include "collector/api/change.h"
#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/store/store_token.h"
#include "common/clock.h"
#include "common/str.h"
#include "proto/token.h"

#define TTL_PRESET_S (24 * 3600)
#define TTL_MAX_S    (7 * 24 * 3600)
#define USES_MAX     10000
#define NOTE_MAX     200

static void write_token(struct json_writer *w, const struct enroll_token_row *t, const char *secret)
{
	jw_object(w);
	jw_k_id(w, "id", t->token_id);
	jw_k_time(w, "created", t->created_us);
	jw_k_str(w, "created_by", t->created_by);
	jw_k_time(w, "expires", t->expires_us);
	jw_k_int(w, "uses_left", t->uses_left);
	jw_k_str(w, "note", t->note);
	if (secret)
		jw_k_str(w, "token", secret);
	jw_object_end(w);
}

static void write_row(struct json_writer *w, const struct db_result *r, size_t i, char *cursor)
{
	struct enroll_token_row row;

	store_enroll_row(r, i, &row);
	write_token(w, &row, NULL);
	snprintf(cursor, ROWS_CURSOR_SIZE, "%" PRId64, row.token_id);
}

void enroll_token_list(struct call *c)
{
	static const struct row_kind kind = {.name = "token", .write = write_row};
	struct db *db;
	int64_t before;

	if (!call_limit(c) || !call_query_int(c, "cursor", 0, 1, INT64_MAX, &before))
		return;
	db = rows_db(c, &kind);
	if (db)
		rows_asked(c, store_enroll_list(db, c->now_us, before, c->limit + 1, rows_list, c));
}

static void on_added(struct call *c)
{
	call_reply(c, 201);
}

static json_t *take_added(struct call *c, const struct db_result *r, bool *ret_idle unused_arg)
{
	struct enroll_token_row row;

	store_enroll_row(r, 0, &row);
	c->object_id = row.token_id;
	write_token(&c->json, &row, c->secret);
	return json_pack("{s:s, s:i, s:I}", "note", row.note, "uses", row.uses_left, "expires_us",
			 (json_int_t)row.expires_us);
}

/* What the person carries to the host, into c->secret; only the hash of its secret is kept. */
static int make_token(struct call *c, uint8_t hash[SHA256_SIZE])
{
	const struct api_context *x = &c->api->ctx;
	struct token t = {.port = x->enroll_port};
	int rc;

	if (!x->enroll_host || !x->ca_pin || !str_copy(t.host, sizeof(t.host), x->enroll_host))
		return -EINVAL;
	memcpy(t.pin, x->ca_pin, TOKEN_PIN_SIZE);
	random_bytes(t.secret, sizeof(t.secret));
	sha256(hash, t.secret, sizeof(t.secret));
	rc = token_format(&t, c->secret);
	explicit_bzero(&t, sizeof(t));
	return rc < 0 ? rc : 0;
}

void enroll_token_add(struct call *c)
{
	static const char *const names[] = {"ttl_seconds", "uses", "note", NULL};
	static const struct change_kind kind = {.action = "enroll_token.create",
						.target = "enroll-token",
						.take = take_added,
						.done = on_added};
	struct enroll_token_row row = {.created_by = c->who.name};
	struct db_tx *tx;
	int64_t ttl;
	int64_t uses;

	if (!call_object(c, names) ||
	    !call_int(c, "ttl_seconds", TTL_PRESET_S, 1, TTL_MAX_S, &ttl) ||
	    !call_int(c, "uses", 1, 1, USES_MAX, &uses) ||
	    !call_string(c, "note", "", NOTE_MAX, &row.note))
		return;
	if (make_token(c, row.hash) < 0) {
		call_fail(c, 503, "the collector does not know the address that agents call");
		return;
	}
	row.expires_us = c->now_us + ttl * USEC_PER_SEC;
	row.uses_left = (int32_t)uses;
	tx = change_begin(c, &kind);
	if (tx)
		change_commit(c, tx, store_enroll_add(tx, &row, change_row));
}

static void on_revoked(struct call *c)
{
	call_reply_empty(c, 204);
}

static json_t *take_revoked(struct call *c, const struct db_result *r, bool *ret_idle unused_arg)
{
	struct enroll_token_row row;

	store_enroll_row(r, 0, &row);
	c->object_id = row.token_id;
	return json_pack("{s:s, s:s}", "note", row.note, "created_by", row.created_by);
}

void enroll_token_revoke(struct call *c)
{
	static const struct change_kind kind = {.action = "enroll_token.revoke",
						.target = "enroll-token",
						.take = take_revoked,
						.done = on_revoked,
						.missing = "valid token"};
	struct db_tx *tx;
	int64_t id;

	if (!call_id(c, c->params[0], &id))
		return;
	tx = change_begin(c, &kind);
	if (tx)
		change_commit(c, tx, store_enroll_revoke(tx, id, change_row));
}
