/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api.h - REST, metrics and the dashboard's files: the part that the rest of the collector starts.
 *
 * It reads the registry, asks the database through store verbs, and hands actions to dispatch; all
 * of these are lent and must outlive it. Nothing here waits: with the database away, what lives in
 * memory is still served and the rest answers 503.
 */
#ifndef MEMHERD_COLLECTOR_API_API_H
#define MEMHERD_COLLECTOR_API_API_H

#include <sys/queue.h>

#include "collector/api/auth.h"
#include "collector/api/http.h"

struct call;
struct cells;
struct collector_stats;
struct db;
struct dispatch;
struct event_base;
struct json_writer;
struct pulse;
struct registry;
struct store;

/* The rules in force, as whoever owns them tells it. */
struct api_rules {
	/* Writes the members of the answer into an open object. */
	void (*write)(void *arg, struct json_writer *w);
	/* 0, or -EINVAL with 'origin:line:column: ...'. */
	int (*check)(void *arg, const char *text, size_t len, struct error *err);
	void *arg;
};

struct api_context {
	struct registry *registry;
	struct db *db;
	struct store *store;       /* series; NULL: 503 */
	struct dispatch *dispatch; /* actions; NULL: 503 */
	struct api_rules rules;    /* write NULL: 503 */
	const struct collector_stats *stats;
	const char *admin_token_path; /* made at the first start, 0600; read once */
	/* What an enrolment token carries: where agents call, whom they trust there. */
	const char *enroll_host;
	uint16_t enroll_port;
	const uint8_t *ca_pin; /* TLS_PIN_SIZE bytes */
	const char *cells;     /* as collector/cell/cell.h says; NULL or '' = none; read once */
};

struct api {
	unsigned magic;
	struct event_base *base;
	struct api_context ctx; /* the strings of it are lent too */
	struct auth *auth;
	struct http *http;
	struct pulse *pulse;
	struct cells *cells;      /* NULL: it fronts none */
	struct event *refresh;    /* of the database's tokens */
	bool loaded;              /* tokens came from the database at least once */
	TAILQ_HEAD(, call) calls; /* not ended yet */
	uint64_t requests;
	uint64_t failures; /* of authentication */
};

/* Binds http->listen, checks the route table, loads the tokens once the database is there. */
int api_new(struct event_base *base, const struct http_config *http, const struct api_context *ctx,
	    struct api **ret, struct error *err) must_use;
/* The database (whose callbacks hold calls) must be freed before; what waits for it is told 503. */
void api_free(struct api **a);
unsigned api_port(const struct api *a);
/* A one-time 'http://HOST:PORT/login?token=...' for the person who started the collector. */
void api_login_url(struct api *a, const char *host, char *out, size_t size);
/* Tokens changed: read them again. */
void api_reload_tokens(struct api *a);
/* The cookie's name: __Host- demands TLS. */
const char *api_cookie_name(const struct api *a);

/* The database, or NULL while it does not answer. */
struct db *api_db(const struct api *a) must_use;
/* For what has been, where some seconds more or less do not matter: the standby, where there is one
 * that can be read, else as api_db(). */
struct db *api_reader(const struct api *a) must_use;

#endif
