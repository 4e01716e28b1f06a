/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/actions.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "collector/api/api.h"
#include "collector/api/cells.h"
#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/api/services.h"
#include "collector/api/view.h"
#include "collector/command/approval.h"
#include "collector/command/dispatch.h"
#include "collector/command/params.h"
#include "collector/command/refusal.h"
#include "collector/store/store_command.h"
#include "common/clock.h"
#include "common/str.h"

#define TARGET_MAX 512

static void write_bytes(struct json_writer *w, const char *key, int64_t v)
{
	if (v < 0)
		jw_k_null(w, key);
	else
		jw_k_int(w, key, v);
}

static void write_measures(struct json_writer *w, const struct action_row *a)
{
	write_bytes(w, "rss_before_bytes", a->rss_before);
	write_bytes(w, "rss_after_bytes", a->rss_after);
	write_bytes(w, "swap_before_bytes", a->swap_before);
	write_bytes(w, "swap_after_bytes", a->swap_after);
	if (a->rss_before >= 0 && a->rss_after >= 0)
		jw_k_int(w, "freed_bytes", a->rss_before - a->rss_after);
	else
		jw_k_null(w, "freed_bytes");
	jw_k_num(w, "held_seconds", a->held_us < 0 ? NAN : (double)a->held_us / USEC_PER_SEC);
}

static void write_detail(struct json_writer *w, const struct action_row *a)
{
	char waits[COMMAND_DETAIL_SIZE];

	if (strcmp(a->state, ACTION_WAITING) == 0)
		approval_text(a, waits);
	jw_k_str(w, "detail", strcmp(a->state, ACTION_WAITING) == 0 ? waits : a->detail);
}

/* What was measured later, and what came of it. */
static void write_effects(struct json_writer *w, const struct action_row *a)
{
	jw_k_raw(w, "effects", *a->effects ? a->effects : "[]");
	if (*a->verdict)
		jw_k_str(w, "verdict", a->verdict);
	else
		jw_k_null(w, "verdict");
	if (a->verify_next_us)
		jw_k_time(w, "next_effect", a->verify_next_us);
	else
		jw_k_null(w, "next_effect");
	if (*a->history)
		jw_k_str(w, "history", a->history);
	else
		jw_k_null(w, "history");
}

void action_write(struct json_writer *w, const struct action_row *a)
{
	char id[UUID_TEXT_SIZE];

	uuid_text(id, a->cmd_id);
	jw_object(w);
	jw_k_str(w, "id", id);
	jw_k_str(w, "type", a->action);
	jw_k_str(w, "state", a->state);
	jw_k_bool(w, "dry_run", a->dry_run);
	jw_k_id(w, "host_id", a->host_id);
	jw_k_str(w, "host", a->host);
	if (a->pid) {
		jw_k_id(w, "process_id", a->proc_id);
		jw_k_int(w, "pid", a->pid);
	} else {
		jw_k_null(w, "process_id");
		jw_k_null(w, "pid");
	}
	jw_k_str(w, "comm", a->process);
	jw_k_str(w, "actor", a->actor);
	jw_k_str(w, "reason", a->reason);
	jw_k_raw(w, "params", *a->params ? a->params : "{}");
	if (a->alert_id)
		jw_k_id(w, "alert_id", a->alert_id);
	else
		jw_k_null(w, "alert_id");
	jw_k_time(w, "created", a->created_us);
	jw_k_time(w, "expires", a->expires_us);
	jw_k_time(w, "sent", a->sent_us);
	jw_k_time(w, "done", a->done_us);
	jw_k_time(w, "approved", a->approved_us);
	jw_k_bool(w, "warrant", a->has_warrant);
	jw_k_str(w, "approved_by", a->approved_us ? a->approved_by : NULL);
	write_measures(w, a);
	write_detail(w, a);
	write_effects(w, a);
	jw_object_end(w);
}

/* ---- reading ---- */

static void write_row(struct json_writer *w, const struct db_result *r, size_t i, char *cursor)
{
	struct action_row row;
	char id[UUID_TEXT_SIZE];

	store_command_row(r, i, &row);
	action_write(w, &row);
	uuid_text(id, row.cmd_id);
	snprintf(cursor, ROWS_CURSOR_SIZE, "%" PRId64 ".%s", row.created_us, id);
}

static const struct row_kind action_rows = {.name = "action", .write = write_row};

/* False when the call has been ended. */
static bool take_cursor(struct call *c, struct command_filter *f)
{
	const char *text = query_get(&c->query, "cursor");
	char *end;

	if (!text)
		return true;
	f->before_us = strtoll(text, &end, 10);
	if (f->before_us > 0 && f->before_us < CALL_TIME_END_US && *end == '.' &&
	    uuid_parse(f->before_id, end + 1) == 0)
		return true;
	call_fail(c, 400, "cursor '%.64s' is not one that was given here", text);
	return false;
}

static bool is_state(const char *word)
{
	static const char *const states[] = {ACTION_WAITING, "queued",  "sent",        "running",
					     "done",         "failed",  "ineffective", "expired",
					     "cancelled",    "refused", "unknown"};

	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (strcmp(states[i], word) == 0)
			return true;
	return false;
}

void action_list(struct call *c)
{
	struct command_filter f = {.state = query_get(&c->query, "state")};
	struct db *db;

	if (!call_query_host(c, &f.host_id) || !call_limit(c) || !take_cursor(c, &f) ||
	    !call_query_int(c, "alert", 0, 1, INT64_MAX, &f.alert_id))
		return;
	if (f.state && !is_state(f.state)) {
		call_fail(c, 400, "there is no state '%.64s' of an action", f.state);
		return;
	}
	f.limit = c->limit + 1;
	db = rows_db(c, &action_rows);
	if (db)
		rows_asked(c, store_command_list(db, &f, rows_list, c));
}

void action_get(struct call *c)
{
	struct db *db;
	uint8_t id[16];

	if (uuid_parse(id, c->params[0]) < 0) {
		call_fail(c, 404, "there is no action '%.64s'", c->params[0]);
		return;
	}
	db = rows_db(c, &action_rows);
	if (db)
		rows_asked(c, store_command_get(db, id, rows_one, c));
}

/* ---- issuing ---- */

/* 'HOST:PID' or 'HOST/SERVICE', which means its process with the largest RSS. */
static const struct process *find_target(struct registry *r, const char *target)
{
	char name[TARGET_MAX + 1];
	char *mark;
	struct host *h;
	int64_t pid;

	str_copy(name, sizeof(name), target);
	mark = strchr(name, '/');
	if (mark) {
		*mark++ = '\0';
		h = view_find_host(r, name);
		return h ? services_largest(h, mark) : NULL;
	}
	mark = strrchr(name, ':');
	if (!mark || str_parse_int(mark + 1, &pid) < 0 || pid <= 0 || pid > INT32_MAX)
		return NULL;
	*mark = '\0';
	h = view_find_host(r, name);
	return h ? registry_find_pid(h, (uint32_t)pid) : NULL;
}

void action_fail(struct call *c, int rc, const struct error *err)
{
	switch (rc) {
	case -EPERM:
	case -EACCES:
		call_fail(c, 403, "%s", err->msg);
		break;
	case -EINVAL:
		call_fail(c, 422, "%s", err->msg);
		break;
	case -ENOENT:
	case -ESRCH:
		call_fail(c, 404, "%s", err->msg);
		break;
	case -EOPNOTSUPP:
	case -EALREADY:
	case -EBUSY:
	case -EAGAIN:
		call_fail(c, 409, "%s", err->msg);
		break;
	case -EDQUOT:
		call_fail(c, 429, "%s", err->msg);
		break;
	default:
		call_fail_db(c, rc);
	}
}

static void on_issued(void *arg, int rc, const struct action_row *row, const struct error *err)
{
	struct call *c = call_of(arg);
	char location[80] = "/api/v1/actions/";

	if (rc == -EEXIST) {
		call_invalid(c, "", "this Idempotency-Key was used for another request");
	} else if (rc == -EINPROGRESS) {
		http_request_set(c->req, "Retry-After", "1");
		call_fail(c, 503,
			  "it is not known whether this was stored; ask again with the same "
			  "Idempotency-Key");
	} else if (rc == -EBUSY || rc == -EAGAIN || rc == -EDQUOT || rc == -EPERM ||
		   rc == -EINVAL) {
		action_fail(c, rc, err);
	} else if (rc < 0 || !row) {
		call_fail_db(c, rc);
	} else {
		uuid_text(location + strlen(location), row->cmd_id);
		http_request_set(c->req, "Location", location);
		action_write(&c->json, row);
		call_reply(c, 202);
	}
}

/* What may be asked, and the scope that it takes. */
struct action_type {
	const char *type;
	unsigned scope;
	const char *scope_name;
};

static const struct action_type types[] = {
	{"trim", SCOPE_ACT_TRIM, "act:trim"},
	{"restart", SCOPE_ACT_RESTART, "act:restart"},
	{"limit", SCOPE_ACT_LIMIT, "act:limit"},
	{"census", SCOPE_ACT_SNAPSHOT, "act:snapshot"},
	{"tracemalloc", SCOPE_ACT_SNAPSHOT, "act:snapshot"},
	{"referrers", SCOPE_ACT_SNAPSHOT, "act:snapshot"},
	{"sizes", SCOPE_ACT_SNAPSHOT, "act:snapshot"},
	{"gc", SCOPE_ACT_TRIM, "act:trim"},
	{"gc-threshold", SCOPE_ACT_TRIM, "act:trim"},
	{"gc-freeze", SCOPE_ACT_TRIM, "act:trim"},
	{"gc-unfreeze", SCOPE_ACT_TRIM, "act:trim"},
	{"reclaim", SCOPE_ACT_LIMIT, "act:limit"},
	{"drop-caches", SCOPE_ACT_LIMIT, "act:limit"},
	{"oom-score", SCOPE_ACT_LIMIT, "act:limit"},
	{"shed", SCOPE_ACT_TRIM, "act:trim"},
};

static const struct action_type *type_of(const char *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(types[i].type, type) == 0)
			return &types[i];
	return NULL;
}

bool action_scope_held(struct call *c, const char *type)
{
	const struct action_type *t = type_of(type);

	if (t && scopes_allow(c->who.scopes, t->scope))
		return true;
	call_fail(c, 403, "'%s' lacks the scope %s", c->who.name, t ? t->scope_name : "act:*");
	return false;
}

/* What may be asked and by whom; false when the call has been ended. */
static bool check_type(struct call *c, const char *type)
{
	const struct action_type *t = type_of(type);

	if (!t) {
		call_invalid(c, "/type", "there is no action '%.64s'", type);
		return false;
	}
	return action_scope_held(c, type);
}

static bool take_params(struct call *c, struct action_request *req)
{
	struct error err;

	if (params_from_json((enum command_action)command_action_find(req->action),
			     json_object_get(c->body, "params"), req->params, &req->text,
			     &err) == 0)
		return true;
	call_invalid(c, "/params", "%s", err.msg);
	return false;
}

static bool take_expiry(struct call *c, int64_t *ret_us)
{
	const char *text;

	*ret_us = 0;
	if (!call_string(c, "expires_at", "", 64, &text))
		return false;
	if (!*text)
		return true;
	if (str_parse_time(text, c->now_us, ret_us) == 0 && *ret_us > c->now_us &&
	    *ret_us <= c->now_us + DISPATCH_EXPIRES_MAX_US)
		return true;
	call_invalid(c, "/expires_at", "'expires_at' must be a time within the next ten minutes");
	return false;
}

bool action_warrant(struct call *c, struct command_warrant *space,
		    const struct command_warrant **ret)
{
	const char *text;

	*ret = NULL;
	if (!call_string(c, "warrant", "", 2 * sizeof(*space), &text))
		return false;
	if (!*text)
		return true;
	if (str_unhex((uint8_t *)space, sizeof(*space), text) == 0) {
		*ret = space;
		return true;
	}
	call_invalid(c, "/warrant",
		     "'warrant' must be %zu hex digits, as memherd --sign-key makes them",
		     2 * sizeof(*space));
	return false;
}

/* A process, or of an action on the whole host the host; false when the call has been ended. */
static bool take_target(struct call *c, struct action_request *req, const char *target)
{
	bool of_host = command_action_of_host((unsigned)command_action_find(req->action));
	const struct host *h = of_host ? view_find_host(c->api->ctx.registry, target) : NULL;
	const struct process *p = of_host ? NULL : find_target(c->api->ctx.registry, target);

	if (h) {
		req->host_id = h->host_id;
		return true;
	}
	if (p) {
		req->host_id = p->host_id;
		req->proc_id = p->proc_id;
		return true;
	}
	if (of_host)
		call_fail(c, 404, "there is no host '%.200s' (%s takes HOST)", target, req->action);
	else
		call_fail(c, 404, "there is no process '%.200s' (HOST:PID or HOST/SERVICE)",
			  target);
	return false;
}

const char *action_acts(route_handler *handler)
{
	if (handler == action_issue)
		return "issue";
	if (handler == action_approve)
		return "approve";
	return handler == action_cancel ? "cancel" : NULL;
}

/* Who lacks the scope is refused before his body is read; what he wanted is in it. */
static json_t *body_of(const struct call *c)
{
	size_t len;
	const char *text = http_request_body(c->req, &len);

	if (c->body)
		return json_incref(c->body);
	if (!len || call_json_depth(text, len) > CALL_DEPTH_MAX)
		return NULL;
	return json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
}

void action_tell_refusal(struct call *c, const char *why)
{
	json_t *body = c->params[0] ? NULL : body_of(c);
	const char *type = json_string_value(json_object_get(body, "type"));
	const char *target = json_string_value(json_object_get(body, "target"));
	char action[96] = "";

	if (c->params[0])
		snprintf(action, sizeof(action), "action %.64s", c->params[0]);
	if (c->api->ctx.dispatch)
		dispatch_refused(c->api->ctx.dispatch,
				 &(struct refusal){.actor = c->who.name,
						   .what = c->acts,
						   .action = type ? type : "",
						   .target = target ? target : action,
						   .why = why});
	json_decref(body);
}

static void issue(struct call *c, struct action_request *req, const char *target)
{
	struct error err = {.msg = ""};
	const void *body;
	size_t len;
	int rc;

	if (!take_target(c, req, target))
		return;
	req->actor = c->who.name;
	body = http_request_body(c->req, &len);
	sha256(req->request_hash, body, len);
	c->asked = true;
	rc = c->api->ctx.dispatch && api_db(c->api)
		     ? dispatch_issue(c->api->ctx.dispatch, req, on_issued, c, &err)
		     : -ENOTCONN;
	if (rc < 0)
		action_fail(c, rc, &err);
}

void action_issue(struct call *c)
{
	static const char *const names[] = {"type",    "target",     "params",  "reason",
					    "dry_run", "expires_at", "warrant", NULL};
	struct command_warrant warrant;
	struct action_request req = {0};
	const char *target;

	if (cells_refuse(c))
		return;
	req.idempotency_key = http_request_header(c->req, "Idempotency-Key");
	if (!req.idempotency_key || !*req.idempotency_key) {
		call_fail(c, 400,
			  "an action needs the field Idempotency-Key, so that a repeated "
			  "request acts once");
		return;
	}
	if (strlen(req.idempotency_key) > DISPATCH_KEY_MAX ||
	    !str_is_safe(req.idempotency_key, strlen(req.idempotency_key))) {
		call_fail(c, 400, "Idempotency-Key must be at most %d bytes of text",
			  DISPATCH_KEY_MAX);
		return;
	}
	if (!call_object(c, names) || !call_string(c, "type", NULL, 32, &req.action) ||
	    !check_type(c, req.action) || !take_params(c, &req) ||
	    !call_string(c, "target", NULL, TARGET_MAX, &target) ||
	    !call_string(c, "reason", "", COMMAND_REASON_SIZE - 1, &req.reason) ||
	    !call_bool(c, "dry_run", false, &req.dry_run) || !take_expiry(c, &req.expires_us) ||
	    !action_warrant(c, &warrant, &req.warrant))
		return;
	issue(c, &req, target);
}
