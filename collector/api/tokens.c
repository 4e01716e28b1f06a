/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "collector/api/api.h"
#include "collector/api/change.h"
#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/store/store_token.h"
#include "common/clock.h"

#define TTL_MAX_S (10LL * 365 * 24 * 3600)

/* secret is shown once, when the token is made; else NULL. */
static void write_token(struct json_writer *w, const struct api_token_row *t, const char *secret)
{
	unsigned scopes = 0;
	char text[SCOPES_TEXT_SIZE] = "";
	char *rest = text;
	const char *word;

	if (scopes_parse(t->scopes, &scopes, NULL) == 0)
		scopes_format(scopes, ' ', text);
	jw_object(w);
	jw_k_id(w, "id", t->token_id);
	jw_k_str(w, "name", t->name);
	jw_key(w, "scopes");
	jw_array(w);
	while ((word = strsep(&rest, " ")))
		if (*word)
			jw_str(w, word);
	jw_array_end(w);
	jw_k_str(w, "created_by", t->created_by);
	jw_k_time(w, "created", t->created_us);
	jw_k_time(w, "expires", t->expires_us);
	jw_k_time(w, "revoked", t->revoked_us);
	if (secret)
		jw_k_str(w, "token", secret);
	jw_object_end(w);
}

static void write_row(struct json_writer *w, const struct db_result *r, size_t i,
		      char *cursor unused_arg)
{
	struct api_token_row row;

	store_token_row(r, i, &row);
	write_token(w, &row, NULL);
}

/* All at once: they are few. */
void token_list(struct call *c)
{
	static const struct row_kind kind = {.name = "token", .write = write_row};
	struct db *db = rows_db(c, &kind);

	if (db)
		rows_asked(c, store_token_list(db, rows_list, c));
}

/* The body's 'scopes', an array of words. */
static bool read_scopes(const struct call *c, unsigned *ret, struct error *err)
{
	const json_t *list = json_object_get(c->body, "scopes");
	unsigned one;
	size_t i;
	const json_t *v;

	*ret = 0;
	error_set(err, 0, "'scopes' must be an array of words");
	json_array_foreach (list, i, v) {
		if (!json_is_string(v) || scopes_parse(json_string_value(v), &one, err) < 0)
			return false;
		*ret |= one;
	}
	return *ret != 0;
}

/* False when the call has been ended. */
static bool take_scopes(struct call *c, char text[SCOPES_TEXT_SIZE])
{
	struct error err;
	unsigned scopes;

	if (!read_scopes(c, &scopes, &err)) {
		call_invalid(c, "/scopes", "%s", err.msg);
		return false;
	}
	scopes_format(scopes, '\n', text);
	return true;
}

static int64_t expires_of(const struct call *c)
{
	int64_t ttl = json_integer_value(json_object_get(c->body, "ttl_seconds"));

	return ttl ? c->now_us + ttl * USEC_PER_SEC : 0;
}

/* Again from the body: after the commit the statement's row is gone. */
static void on_added(struct call *c)
{
	const char *name = json_string_value(json_object_get(c->body, "name"));
	uint8_t hash[SHA256_SIZE];
	unsigned scopes = 0;

	sha256(hash, c->secret, strlen(c->secret));
	if (!read_scopes(c, &scopes, NULL) ||
	    auth_add_token(c->api->auth, c->object_id, name, hash, scopes, expires_of(c)) < 0)
		call_fail(c, 503, "there are too many tokens");
	else
		call_reply(c, 201);
}

static json_t *take_added(struct call *c, const struct db_result *r, bool *ret_idle unused_arg)
{
	struct api_token_row row;

	store_token_row(r, 0, &row);
	c->object_id = row.token_id;
	write_token(&c->json, &row, c->secret);
	return json_pack("{s:s, s:s, s:I}", "name", row.name, "scopes", row.scopes, "expires_us",
			 (json_int_t)row.expires_us);
}

void token_add(struct call *c)
{
	static const char *const names[] = {"name", "scopes", "ttl_seconds", NULL};
	static const struct change_kind kind = {.action = "token.create",
						.target = "token",
						.take = take_added,
						.done = on_added};
	struct api_token_row row = {.created_by = c->who.name};
	char scopes[SCOPES_TEXT_SIZE];
	struct db_tx *tx;
	int64_t ttl;

	if (!call_object(c, names) || !call_string(c, "name", NULL, 50, &row.name) ||
	    !take_scopes(c, scopes) || !call_int(c, "ttl_seconds", 0, 0, TTL_MAX_S, &ttl))
		return;
	if (!*row.name) {
		call_invalid(c, "/name", "'name' is empty");
		return;
	}
	row.scopes = scopes;
	row.expires_us = expires_of(c);
	auth_make_token(c->secret, row.hash);
	tx = change_begin(c, &kind);
	if (tx)
		change_commit(c, tx, store_token_add(tx, &row, change_row));
}

static void on_revoked(struct call *c)
{
	auth_remove_token(c->api->auth, c->object_id);
	call_reply_empty(c, 204);
}

static json_t *take_revoked(struct call *c, const struct db_result *r, bool *ret_idle unused_arg)
{
	struct api_token_row row;

	store_token_row(r, 0, &row);
	c->object_id = row.token_id;
	return json_pack("{s:s, s:s}", "name", row.name, "created_by", row.created_by);
}

void token_revoke(struct call *c)
{
	static const struct change_kind kind = {.action = "token.revoke",
						.target = "token",
						.take = take_revoked,
						.done = on_revoked,
						.missing = "valid token"};
	struct db_tx *tx;
	int64_t id;

	if (!call_id(c, c->params[0], &id))
		return;
	tx = change_begin(c, &kind);
	if (tx)
		change_commit(c, tx, store_token_revoke(tx, id, c->now_us, change_row));
}
