/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/call.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "collector/api/actions.h"
#include "collector/api/api.h"
#include "collector/api/view.h"
#include "common/clock.h"
#include "common/str.h"

#define CALL_MAGIC 0x63616c6cu

struct call *call_new(struct api *api, struct http_request *req)
{
	struct call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->magic = CALL_MAGIC;
	c->api = api;
	c->req = req;
	c->now_us = clock_wall_us();
	buf_init(&c->out, CALL_BODY_MAX);
	jw_init(&c->json, &c->out);
	TAILQ_INSERT_TAIL(&api->calls, c, entry);
	return c;
}

void call_free(struct call **slot)
{
	struct call *c = take_ptr(*slot);

	if (!c)
		return;
	TAILQ_REMOVE(&c->api->calls, c, entry);
	json_decref(c->body);
	buf_fini(&c->out);
	free(c->path);
	free(c->kept);
	explicit_bzero(c->secret, sizeof(c->secret));
	c->magic = 0;
	free(c);
}

struct call *call_of(void *arg)
{
	struct call *c = arg;

	MAGIC_CHECK(c, CALL_MAGIC);
	return c;
}

/* ---- ends ---- */

void call_reply_text(struct call *c, int status, const char *type, const void *body, size_t len)
{
	http_request_set(c->req, "Cache-Control", "no-store");
	http_reply(&c->req,
		   &(struct http_answer){.status = status, .type = type, .body = body, .len = len});
	call_free(&c);
}

void call_reply(struct call *c, int status)
{
	if (buf_status(&c->out) < 0) {
		call_fail(c, 500, "the answer is larger than %d bytes; ask for less with 'limit'",
			  CALL_BODY_MAX);
		return;
	}
	call_reply_text(c, status, "application/json", c->out.data, c->out.len);
}

void call_reply_empty(struct call *c, int status)
{
	call_reply_text(c, status, NULL, "", 0);
}

static const char *status_title(int status)
{
	static const struct {
		int status;
		const char *title;
	} titles[] = {
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{409, "Conflict"},
		{415, "Unsupported Media Type"},
		{422, "Unprocessable Content"},
		{429, "Too Many Requests"},
		{503, "Service Unavailable"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(titles); i++)
		if (titles[i].status == status)
			return titles[i].title;
	return "Internal Server Error";
}

/* https://www.rfc-editor.org/rfc/rfc9457#section-3.1 */
static void send_problem(struct call *c, int status, const char *pointer, const char *detail)
{
	if (c->acts && *c->who.name && !c->asked && status < 500)
		action_tell_refusal(c, detail);
	buf_reset(&c->out);
	jw_init(&c->json, &c->out);
	jw_object(&c->json);
	jw_k_str(&c->json, "type", "about:blank");
	jw_k_str(&c->json, "title", status_title(status));
	jw_k_int(&c->json, "status", status);
	jw_k_str(&c->json, "detail", detail);
	jw_k_str(&c->json, "instance", http_request_path(c->req));
	jw_k_str(&c->json, "trace_id", http_request_id(c->req));
	if (pointer) {
		jw_key(&c->json, "errors");
		jw_array(&c->json);
		jw_object(&c->json);
		jw_k_str(&c->json, "pointer", pointer);
		jw_k_str(&c->json, "detail", detail);
		jw_object_end(&c->json);
		jw_array_end(&c->json);
	}
	jw_object_end(&c->json);
	call_reply_text(c, status, "application/problem+json", c->out.data, c->out.len);
}

void call_fail(struct call *c, int status, const char *fmt, ...)
{
	char detail[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	send_problem(c, status, NULL, detail);
}

void call_invalid(struct call *c, const char *pointer, const char *fmt, ...)
{
	char detail[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	send_problem(c, 422, pointer, detail);
}

void call_fail_db(struct call *c, int rc)
{
	char wait[8];

	if (rc == -ENOTCONN || rc == -ENOBUFS || rc == -EPIPE || rc == -ETIMEDOUT) {
		snprintf(wait, sizeof(wait), "%d", CALL_RETRY_S);
		http_request_set(c->req, "Retry-After", wait);
		call_fail(c, 503,
			  rc == -ENOBUFS ? "the database is busy"
					 : "the database cannot be reached");
		return;
	}
	if (rc == -EINPROGRESS) {
		call_fail(c, 503, "the database was lost; it is not known whether this was stored");
		return;
	}
	call_fail(c, 500, "the database refused the statement");
}

/* ---- parameters ---- */

bool call_id(struct call *c, const char *text, int64_t *ret)
{
	if (str_parse_int(text, ret) == 0 && *ret > 0)
		return true;
	call_fail(c, 400, "'%.64s' is not an id", text);
	return false;
}

bool call_query_int(struct call *c, const char *name, int64_t preset, int64_t min, int64_t max,
		    int64_t *ret)
{
	const char *text = query_get(&c->query, name);

	*ret = preset;
	if (!text || (str_parse_int(text, ret) == 0 && *ret >= min && *ret <= max))
		return true;
	call_fail(c, 400,
		  "parameter '%s' must be a number from %" PRId64 " to %" PRId64 ", not '%.64s'",
		  name, min, max, text);
	return false;
}

bool call_query_time(struct call *c, const char *name, int64_t preset_us, int64_t *ret_us)
{
	const char *text = query_get(&c->query, name);

	*ret_us = preset_us;
	if (!text || str_parse_time(text, c->now_us, ret_us) == 0)
		return true;
	call_fail(c, 400,
		  "parameter '%s' must be a time as 2026-01-02T03:04:05Z, -6h or now, not '%.64s'",
		  name, text);
	return false;
}

bool call_limit(struct call *c)
{
	int64_t limit;

	if (!call_query_int(c, "limit", CALL_LIMIT_PRESET, 1, CALL_LIMIT_MAX, &limit))
		return false;
	c->limit = (int)limit;
	return true;
}

static bool read_cursor(const char *text, int64_t *ret_us, int64_t *ids, size_t n)
{
	char *at = (char *)text;

	errno = 0;
	for (size_t i = 0; i <= n; i++) {
		if ((i && *at++ != '.') || !(isdigit((unsigned char)*at) || *at == '-'))
			return false;
		*(i ? &ids[i - 1] : ret_us) = strtoll(at, &at, 10);
	}
	return !errno && !*at && *ret_us > 0 && *ret_us < CALL_TIME_END_US;
}

bool call_cursor(struct call *c, int64_t *ret_us, int64_t *ids, size_t n)
{
	const char *text = query_get(&c->query, "cursor");

	*ret_us = 0;
	if (!text || read_cursor(text, ret_us, ids, n))
		return true;
	call_fail(c, 400, "cursor '%.64s' is not one that was given here", text);
	return false;
}

struct host *call_host(struct call *c, const char *text)
{
	struct host *h = view_find_host(c->api->ctx.registry, text);

	if (!h)
		call_fail(c, 404, "there is no host '%.64s'", text);
	return h;
}

bool call_query_host(struct call *c, int32_t *ret_id)
{
	const char *text = query_get(&c->query, "host");
	const struct host *h = text ? call_host(c, text) : NULL;

	*ret_id = h ? h->host_id : 0;
	return h || !text;
}

unsigned call_json_depth(const char *text, size_t len)
{
	unsigned depth = 0;
	unsigned most = 0;
	bool in_string = false;

	for (size_t i = 0; i < len; i++) {
		char ch = text[i];

		if (in_string) {
			i += ch == '\\';
			in_string = ch != '"';
		} else if (ch == '"') {
			in_string = true;
		} else if (ch == '{' || ch == '[') {
			depth++;
			most = MAX_OF(most, depth);
		} else if ((ch == '}' || ch == ']') && depth > 0) {
			depth--;
		}
	}
	return most;
}

static bool is_json_type(const char *type)
{
	size_t n = strlen("application/json");

	return type && strncasecmp(type, "application/json", n) == 0 &&
	       (type[n] == '\0' || type[n] == ';' || type[n] == ' ');
}

static bool parse_body(struct call *c)
{
	size_t len;
	const char *text = http_request_body(c->req, &len);
	json_error_t e;

	if (!is_json_type(http_request_header(c->req, "Content-Type"))) {
		call_fail(c, 415, "the body must be application/json");
		return false;
	}
	if (call_json_depth(text, len) > CALL_DEPTH_MAX) {
		call_fail(c, 400, "the body is nested deeper than %d levels", CALL_DEPTH_MAX);
		return false;
	}
	c->body = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);
	if (!c->body) {
		call_fail(c, 400, "the body is not JSON: line %d, column %d: %s", e.line, e.column,
			  e.text);
		return false;
	}
	return true;
}

static bool is_listed(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

bool call_object(struct call *c, const char *const *names)
{
	const char *key;
	json_t *value;
	char pointer[80];

	if (!parse_body(c))
		return false;
	if (!json_is_object(c->body)) {
		call_invalid(c, "", "the body must be an object");
		return false;
	}
	json_object_foreach (c->body, key, value) {
		if (is_listed(names, key))
			continue;
		snprintf(pointer, sizeof(pointer), "/%.64s", key);
		call_invalid(c, pointer, "there is no member '%.64s' here", key);
		return false;
	}
	return true;
}

static bool wrong_member(struct call *c, const char *name, const char *expected)
{
	char pointer[80];

	snprintf(pointer, sizeof(pointer), "/%.64s", name);
	call_invalid(c, pointer, "'%s' must be %s", name, expected);
	return false;
}

bool call_string(struct call *c, const char *name, const char *preset, size_t max, const char **ret)
{
	const json_t *v = json_object_get(c->body, name);
	char expected[64];

	*ret = preset;
	if ((!v || json_is_null(v)) && preset)
		return true;
	if (!json_is_string(v))
		return wrong_member(c, name, "a string");
	*ret = json_string_value(v);
	if (json_string_length(v) <= max && str_is_safe(*ret, json_string_length(v)))
		return true;
	snprintf(expected, sizeof(expected), "at most %zu bytes of text on one line", max);
	return wrong_member(c, name, expected);
}

bool call_bool(struct call *c, const char *name, bool preset, bool *ret)
{
	const json_t *v = json_object_get(c->body, name);

	*ret = v ? json_is_true(v) : preset;
	if (v && !json_is_boolean(v))
		return wrong_member(c, name, "true or false");
	return true;
}

bool call_int(struct call *c, const char *name, int64_t preset, int64_t min, int64_t max,
	      int64_t *ret)
{
	const json_t *v = json_object_get(c->body, name);
	char expected[96];

	*ret = v ? json_integer_value(v) : preset;
	if (!v || (json_is_integer(v) && *ret >= min && *ret <= max))
		return true;
	snprintf(expected, sizeof(expected), "a whole number from %" PRId64 " to %" PRId64, min,
		 max);
	return wrong_member(c, name, expected);
}

void call_list(struct call *c)
{
	jw_object(&c->json);
	jw_key(&c->json, "items");
	jw_array(&c->json);
}

void call_list_end(struct call *c, const char *cursor)
{
	jw_array_end(&c->json);
	jw_k_str(&c->json, "next_cursor", cursor);
	jw_object_end(&c->json);
	call_reply(c, 200);
}
