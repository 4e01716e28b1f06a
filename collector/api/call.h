/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.h - one request on its way through a handler: who asks, the parameters, the body as JSON,
 * and the ways to end it. Each way sends the answer and frees the call, now or after a database
 * answer; a handler must take exactly one.
 */
#ifndef MEMHERD_COLLECTOR_API_CALL_H
#define MEMHERD_COLLECTOR_API_CALL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "collector/api/auth.h"
#include "collector/api/http.h"
#include "collector/api/query.h"
#include "collector/store/db.h"
#include "collector/store/series.h"
#include "common/json.h"

#define CALL_PARAMS_MAX   2
#define CALL_BODY_MAX     (32 * 1024 * 1024) /* of an answer */
#define CALL_DEPTH_MAX    32                 /* of a request's JSON */
#define CALL_RETRY_S      5
#define CALL_SECRET_SIZE  512                           /* TOKEN_TEXT_SIZE of proto/token.h */
#define CALL_TIME_END_US  (253402300800 * USEC_PER_SEC) /* year 10000: PostgreSQL goes further */
#define CALL_LIMIT_PRESET 100
#define CALL_LIMIT_MAX    10000 /* rows of a list */

struct api;
struct change_kind;
struct host;
struct route;
struct row_kind;

struct call {
	unsigned magic;
	struct api *api;
	struct http_request *req;
	struct principal who;
	const char *acts; /* an action is asked for: action_acts(); NULL: it is not */
	bool asked;       /* dispatch has it, which tells of its own refusals */
	char *path;       /* owned */
	const char *params[CALL_PARAMS_MAX]; /* decoded; into path */
	struct query_fields query;
	json_t *body;
	int64_t now_us; /* wall clock at its arrival */
	struct buf out; /* the answer being written */
	struct json_writer json;
	/* what a handler keeps between asking the database and hearing from it */
	int32_t host_id;
	int64_t object_id;
	struct series_id series;
	int limit;
	int metric;
	const struct row_kind *rows;
	const struct change_kind *change;
	void *kept;                    /* freed with the call */
	int verdict;                   /* of what a change's statement gave */
	char secret[CALL_SECRET_SIZE]; /* shown once; wiped with the call */
	TAILQ_ENTRY(call) entry;
};

/* NULL without memory; takes over req only when it succeeds. */
struct call *call_new(struct api *api, struct http_request *req);
void call_free(struct call **c);
/* The call behind a db_done's arg. */
struct call *call_of(void *arg);

/* ---- ends ---- */

/* c->out as application/json. 500 when it did not fit. */
void call_reply(struct call *c, int status);
void call_reply_text(struct call *c, int status, const char *type, const void *body, size_t len);
void call_reply_empty(struct call *c, int status);
/* problem+json (RFC 9457); the message becomes its detail. */
void call_fail(struct call *c, int status, const char *fmt, ...) printf_like(3, 4);
/* 422 whose errors[0] points (RFC 6901) to the member that is wrong. */
void call_invalid(struct call *c, const char *pointer, const char *fmt, ...) printf_like(3, 4);
/* The database did not do it: 503 with Retry-After when it is away, else 500. rc is db_query's or a
 * db_done's. */
void call_fail_db(struct call *c, int rc);

/* ---- parameters: false means that the call has been ended with 400 or 422 ---- */

bool call_id(struct call *c, const char *text, int64_t *ret) must_use;
bool call_query_int(struct call *c, const char *name, int64_t preset, int64_t min, int64_t max,
		    int64_t *ret) must_use;
bool call_query_time(struct call *c, const char *name, int64_t preset_us, int64_t *ret_us) must_use;
/* 'limit', into c->limit. */
bool call_limit(struct call *c) must_use;
/* 'cursor' of rows by time and n ids: "T_US.ID.ID...", T_US > 0. Without one *ret_us is
 * 0. That the ids are any that were given is not looked at. */
bool call_cursor(struct call *c, int64_t *ret_us, int64_t *ids, size_t n) must_use;

/* The host of that id or name; NULL when the call has been ended with 404. */
struct host *call_host(struct call *c, const char *text) must_use;
/* The id of the host that 'host' names, 0 without it. */
bool call_query_host(struct call *c, int32_t *ret_id) must_use;

/* The body must be a JSON object with no members but those in names (NULL at the end). */
bool call_object(struct call *c, const char *const *names) must_use;
/* A string member; preset when it is absent, or 422 when preset is NULL. */
bool call_string(struct call *c, const char *name, const char *preset, size_t max,
		 const char **ret) must_use;
bool call_bool(struct call *c, const char *name, bool preset, bool *ret) must_use;
bool call_int(struct call *c, const char *name, int64_t preset, int64_t min, int64_t max,
	      int64_t *ret) must_use;

/* Begins c->out with {"items":[ ; ends it with ],"next_cursor":cursor}, NULL when there is none,
 * and replies 200. */
void call_list(struct call *c);
void call_list_end(struct call *c, const char *cursor);

/* Pure: levels of nesting in JSON text; more than the text has when it is not JSON. */
unsigned call_json_depth(const char *text, size_t len);

#endif
