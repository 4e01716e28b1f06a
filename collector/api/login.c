/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "collector/api/api.h"
#include "collector/api/change.h"
#include "collector/api/resource.h"
#include "common/clock.h"

static const char sorry[] =
	"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>memherd</title>"
	"<h1>This login is over</h1><p>A login link is good once and for ten "
	"minutes. Get another: <code>memherd login-link</code> on a machine with a "
	"token.</p></html>\n";

static void set_cookie(struct call *c, const char *value, int max_age)
{
	char text[256];
	bool tls = http_is_tls(c->api->http);

	snprintf(text, sizeof(text), "%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d%s",
		 api_cookie_name(c->api), value, max_age, tls ? "; Secure" : "");
	http_request_set(c->req, "Set-Cookie", text);
}

void login_get(struct call *c)
{
	const char *text = query_get(&c->query, "token");
	char session[AUTH_TOKEN_SIZE];

	if (http_request_method(c->req) == HTTP_HEAD || !text ||
	    auth_login(c->api->auth, text, clock_boot_us(), session) < 0) {
		c->api->failures++;
		call_reply_text(c, 403, "text/html; charset=utf-8", sorry, sizeof(sorry) - 1);
		return;
	}
	set_cookie(c, session, 12 * 3600);
	http_request_set(c->req, "Location", "/");
	call_reply_text(c, 303, "text/plain; charset=utf-8", "/\n", 2);
}

static void on_announced(struct call *c)
{
	char text[AUTH_TOKEN_SIZE];
	char url[512];

	auth_login_new(c->api->auth, &c->who, clock_boot_us(), text);
	snprintf(url, sizeof(url), "%s://%s/login?token=%s",
		 http_is_tls(c->api->http) ? "https" : "http", http_request_header(c->req, "Host"),
		 text);
	jw_object(&c->json);
	jw_k_str(&c->json, "url", url);
	jw_k_int(&c->json, "expires_seconds", 600);
	jw_object_end(&c->json);
	call_reply(c, 201);
}

static json_t *take_link(struct call *c, const struct db_result *r unused_arg,
			 bool *ret_idle unused_arg)
{
	return json_pack("{s:s}", "address", http_request_address(c->req));
}

/* For 'memherd login-link': a link for whoever holds an admin token. */
void login_link_add(struct call *c)
{
	static const struct change_kind kind = {.action = "login_link.create",
						.target = "login-link",
						.take = take_link,
						.done = on_announced};

	change_announce(c, &kind);
}

void logout_post(struct call *c)
{
	const char *cookies = http_request_header(c->req, "Cookie");

	if (cookies)
		auth_logout(c->api->auth, cookies, api_cookie_name(c->api));
	set_cookie(c, "", 0);
	call_reply_empty(c, 204);
}
