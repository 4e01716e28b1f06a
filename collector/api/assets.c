/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "collector/api/gzip.h"
#include "collector/api/resource.h"
#include "collector/web/web.h"

static void send_asset(struct call *c, const struct web_asset *a)
{
	struct http_answer answer = {.status = 200, .type = a->mime, .gzipped = true};
	const char *known = http_request_header(c->req, "If-None-Match");

	http_request_set(c->req, "ETag", a->etag);
	http_request_set(c->req, "Cache-Control", "no-cache");
	http_request_set(c->req, "Vary", "Accept-Encoding");
	answer.body = a->gz;
	answer.len = a->gz_len;
	if (known && strcmp(known, a->etag) == 0) {
		answer = (struct http_answer){.status = 304, .body = ""};
	} else if (!http_accepts_gzip(c->req)) {
		if (gzip_unpack(&c->out, a->gz, a->gz_len) < 0) {
			call_fail(c, 500, "a file of the dashboard cannot be unpacked");
			return;
		}
		answer.gzipped = false;
		answer.body = c->out.data;
		answer.len = c->out.len;
	}
	http_reply(&c->req, &answer);
	call_free(&c);
}

void asset_get(struct call *c)
{
	const struct web_asset *a = web_asset_find(http_request_path(c->req));

	if (a && strcmp(a->path, "/openapi.json") != 0)
		send_asset(c, a);
	else
		call_fail(c, 404, "there is nothing at this path");
}

void openapi_get(struct call *c)
{
	const struct web_asset *a = web_asset_find("/openapi.json");

	if (a)
		send_asset(c, a);
	else
		call_fail(c, 404, "this program was built without its description");
}
