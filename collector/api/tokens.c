/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "collector/api/api.h"
#include "collector/api/resource.h"
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

static void on_tokens(void *arg, int rc, const struct db_result *r,
		      const struct error *err unused_arg)
{
	struct call *c = call_of(arg);
	struct api_token_row row;

	if (rc < 0) {
		call_fail_db(c, rc);
		return;
	}
	call_list(c);
	for (size_t i = 0; i < db_rows(r); i++) {
		store_token_row(r, i, &row);
		write_token(&c->json, &row, NULL);
	}
	call_list_end(c, NULL);
}

void token_list(struct call *c)
{
	int rc = c->api->ctx.db ? store_token_list(c->api->ctx.db, on_tokens, c) : -ENOTCONN;

	if (rc < 0)
		call_fail_db(c, rc);
}

static void on_added(void *arg, int rc, const struct db_result *r,
		     const struct error *err unused_arg)
{
	struct call *c = call_of(arg);
	struct api_token_row row;
	unsigned scopes;

	if (rc < 0 || db_rows(r) == 0) {
		call_fail_db(c, rc);
		return;
	}
	store_token_row(r, 0, &row);
	if (scopes_parse(row.scopes, &scopes, NULL) == 0 &&
	    auth_add_token(c->api->auth, row.token_id, row.name, row.hash, scopes, row.expires_us) <
		    0)
		call_fail(c, 503, "there are too many tokens");
	else {
		write_token(&c->json, &row, c->secret);
		call_reply(c, 201);
	}
}

/* The body's 'scopes', an array of words; false when the call has been ended. */
static bool take_scopes(struct call *c, char text[SCOPES_TEXT_SIZE])
{
	const json_t *list = json_object_get(c->body, "scopes");
	unsigned all = 0;
	unsigned one;
	size_t i;
	const json_t *v;
	struct error err = {.msg = "'scopes' must be an array of words"};

	json_array_foreach (list, i, v) {
		if (!json_is_string(v) || scopes_parse(json_string_value(v), &one, &err) < 0) {
			all = 0;
			break;
		}
		all |= one;
	}
	if (!all) {
		call_invalid(c, "/scopes", "%s", err.msg);
		return false;
	}
	scopes_format(all, '\n', text);
	return true;
}

void token_add(struct call *c)
{
	static const char *const names[] = {"name", "scopes", "ttl_seconds", NULL};
	struct api_token_row row = {.created_by = c->who.name};
	char scopes[SCOPES_TEXT_SIZE];
	int64_t ttl;
	int rc;

	if (!call_object(c, names) || !call_string(c, "name", NULL, 50, &row.name) ||
	    !take_scopes(c, scopes) || !call_int(c, "ttl_seconds", 0, 0, TTL_MAX_S, &ttl))
		return;
	if (!*row.name) {
		call_invalid(c, "/name", "'name' is empty");
		return;
	}
	row.scopes = scopes;
	row.expires_us = ttl ? c->now_us + ttl * USEC_PER_SEC : 0;
	auth_make_token(c->secret, row.hash);
	rc = c->api->ctx.db ? store_token_add(c->api->ctx.db, &row, on_added, c) : -ENOTCONN;
	if (rc < 0)
		call_fail_db(c, rc);
}

static void on_revoked(void *arg, int rc, const struct db_result *r,
		       const struct error *err unused_arg)
{
	struct call *c = call_of(arg);

	if (rc < 0) {
		call_fail_db(c, rc);
		return;
	}
	if (db_rows(r) == 0) {
		call_fail(c, 404, "there is no token '%.64s' in force", c->params[0]);
		return;
	}
	auth_remove_token(c->api->auth, db_int(r, 0, 0));
	call_reply_empty(c, 204);
}

void token_revoke(struct call *c)
{
	int64_t id;
	int rc;

	if (!call_id(c, c->params[0], &id))
		return;
	rc = c->api->ctx.db ? store_token_revoke(c->api->ctx.db, id, c->now_us, on_revoked, c)
			    : -ENOTCONN;
	if (rc < 0)
		call_fail_db(c, rc);
}
