/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/api.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "collector/api/actions.h"
#include "collector/api/call.h"
#include "collector/api/cells.h"
#include "collector/api/pulse.h"
#include "collector/api/route.h"
#include "collector/store/store_replica.h"
#include "collector/store/store_token.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define API_MAGIC 0x61706921u
/* Tokens that another collector made or revoked are seen so much later at most. */
#define REFRESH_S 30

const char *api_cookie_name(const struct api *a)
{
	return http_is_tls(a->http) ? "__Host-memherd" : "memherd";
}

struct db *api_db(const struct api *a)
{
	return pulse_alive(a->pulse) ? a->ctx.db : NULL;
}

struct db *api_reader(const struct api *a)
{
	struct db *reader = a->ctx.store ? store_reader(a->ctx.store) : a->ctx.db;

	return reader == a->ctx.db ? api_db(a) : reader;
}

unsigned api_port(const struct api *a)
{
	return http_port(a->http);
}

void api_login_url(struct api *a, const char *host, char *out, size_t size)
{
	const struct principal admin = {.name = "admin", .scopes = SCOPE_ADMIN};
	char text[AUTH_TOKEN_SIZE];

	auth_login_new(a->auth, &admin, clock_boot_us(), text);
	snprintf(out, size, "%s://%s:%u/login?token=%s", http_is_tls(a->http) ? "https" : "http",
		 host, api_port(a), text);
}

/* ---- who is asking ---- */

static bool is_unsafe(enum http_method m)
{
	return m != HTTP_GET && m != HTTP_HEAD;
}

static void refuse_unknown(struct call *c)
{
	unsigned wait = auth_failed(c->api->auth, http_request_address(c->req), clock_boot_us());
	char text[16];

	c->api->failures++;
	if (wait) {
		snprintf(text, sizeof(text), "%u", wait);
		http_request_set(c->req, "Retry-After", text);
		call_fail(c, 429, "too many failed attempts");
		return;
	}
	http_request_set(c->req, "WWW-Authenticate", "Bearer realm=\"memherd\"");
	call_fail(c, 401, "a valid token is needed: 'Authorization: Bearer mht_...', or a login");
}

static int identify(struct call *c)
{
	const char *bearer = http_request_header(c->req, "Authorization");
	const char *cookies = http_request_header(c->req, "Cookie");

	if (bearer)
		return auth_bearer(c->api->auth, bearer, c->now_us, &c->who);
	if (cookies)
		return auth_session(c->api->auth, cookies, api_cookie_name(c->api), clock_boot_us(),
				    &c->who);
	return -EACCES;
}

/* True when the caller may go on; else the call has been ended. */
static bool admit(struct call *c, const struct route *r)
{
	char scopes[SCOPES_TEXT_SIZE];
	struct error err;

	if (r->scopes == SCOPE_PUBLIC)
		return true;
	if (identify(c) < 0) {
		refuse_unknown(c);
		return false;
	}
	if (!scopes_allow(c->who.scopes, r->scopes)) {
		scopes_format(r->scopes, ' ', scopes);
		call_fail(c, 403, "'%s' lacks the scope; needed: %s", c->who.name, scopes);
		return false;
	}
	if (c->who.session && is_unsafe(http_request_method(c->req)) &&
	    auth_check_origin(http_request_header(c->req, "Origin"),
			      http_request_header(c->req, "Host"), http_is_tls(c->api->http),
			      http_request_header(c->req, "X-Memherd-Request"), &err) < 0) {
		call_fail(c, 403, "%s", err.msg);
		return false;
	}
	return true;
}

/* ---- requests ---- */

static void refuse_route(struct call *c, int rc, const char *allow)
{
	if (rc == -EOPNOTSUPP) {
		http_request_set(c->req, "Allow", allow);
		call_fail(c, 405, "this path takes %s", allow);
	} else if (rc == -ENOENT) {
		call_fail(c, 404, "there is nothing at this path");
	} else {
		call_fail(c, 400, "the path is not encoded correctly");
	}
}

static void take_call(struct call *c)
{
	const struct route *r = NULL;
	char allow[ROUTE_ALLOW_SIZE];
	struct error err;
	int rc;

	c->path = strdup(http_request_path(c->req));
	if (!c->path) {
		call_fail(c, 503, "out of memory");
		return;
	}
	rc = route_find(route_table, http_request_method(c->req), c->path, c->params, allow, &r);
	if (rc < 0) {
		refuse_route(c, rc, allow);
		return;
	}
	c->acts = action_acts(r->handler);
	if (query_parse(&c->query, http_request_query(c->req), &err) < 0) {
		call_fail(c, 400, "%s", err.msg);
		return;
	}
	if (admit(c, r))
		r->handler(c);
}

static void on_request(void *arg, struct http_request *req)
{
	struct api *a = arg;
	struct call *c;

	MAGIC_CHECK(a, API_MAGIC);
	a->requests++;
	c = call_new(a, req);
	if (c)
		take_call(c);
	else
		http_reply(&req, &(struct http_answer){.status = 503});
}

/* ---- tokens of the database ---- */

static void take_token(struct api *a, const struct api_token_row *row)
{
	unsigned scopes;

	if (row->revoked_us || scopes_parse(row->scopes, &scopes, NULL) < 0)
		return;
	if (auth_add_token(a->auth, row->token_id, row->name, row->hash, scopes, row->expires_us) <
	    0)
		log_warn("token=%lld not loaded", (long long)row->token_id);
}

static void on_tokens(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct api *a = arg;
	struct api_token_row row;

	MAGIC_CHECK(a, API_MAGIC);
	if (rc < 0) {
		log_warn("api tokens not read cause=\"%s\"", err ? err->msg : "");
		return;
	}
	auth_clear_tokens(a->auth);
	for (size_t i = 0; i < db_rows(r); i++) {
		store_token_row(r, i, &row);
		take_token(a, &row);
	}
	a->loaded = true;
}

void api_reload_tokens(struct api *a)
{
	/* -ENOTCONN: the timer comes again */
	int rc = a->ctx.db ? store_token_list(a->ctx.db, on_tokens, a) : -ENOTCONN;
	struct timeval tv = {.tv_sec = rc < 0 && !a->loaded ? 1 : REFRESH_S};

	evtimer_add(a->refresh, &tv);
}

static void on_refresh(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct api *a = arg;

	MAGIC_CHECK(a, API_MAGIC);
	api_reload_tokens(a);
}

/* ---- life ---- */

static int set_up(struct api *a, const struct http_config *http, struct error *err)
{
	int rc = route_check(route_table, err);

	if (rc < 0)
		return rc;
	a->refresh = evtimer_new(a->base, on_refresh, a);
	if (!a->refresh || auth_new(&a->auth) < 0 || pulse_new(a->base, a->ctx.db, &a->pulse) < 0)
		return error_sys(err, -ENOMEM, "cannot start the web server");
	rc = auth_load_admin(a->auth, a->ctx.admin_token_path, err);
	if (rc < 0)
		return rc;
	a->ctx.admin_token_path = NULL; /* the caller need not keep it */
	rc = http_new(a->base, http, on_request, a, &a->http, err);
	if (rc < 0)
		return rc;
	api_reload_tokens(a);
	return 0;
}

int api_new(struct event_base *base, const struct http_config *http, const struct api_context *ctx,
	    struct api **ret, struct error *err)
{
	struct api *a = calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return error_sys(err, -ENOMEM, "cannot start the web server");
	a->magic = API_MAGIC;
	a->base = base;
	a->ctx = *ctx;
	TAILQ_INIT(&a->calls);
	rc = ctx->cells ? cells_new(base, ctx->cells, &a->cells, err) : 0;
	if (rc == 0)
		rc = set_up(a, http, err);
	if (rc < 0) {
		api_free(&a);
		return rc;
	}
	*ret = a;
	return 0;
}

void api_free(struct api **slot)
{
	struct api *a = take_ptr(*slot);
	struct call *c;

	if (!a)
		return;
	cells_free(&a->cells);
	while ((c = TAILQ_FIRST(&a->calls)))
		call_fail(c, 503, "the collector is shutting down");
	http_free(&a->http);
	auth_free(&a->auth);
	pulse_free(&a->pulse);
	if (a->refresh)
		event_free(a->refresh);
	a->magic = 0;
	free(a);
}
