/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h - the HTTP/1.1 server: evhttp behind a guard (guard.h), deadlines and caps (peer.h), and
 * answers that all carry the same security headers. Knows nothing of routes or resources.
 *
 * The handler is called from the loop with a whole request and answers it with http_reply() then
 * or later; a request that is never answered is cut by its deadline but not freed, so every path
 * must end in http_reply(). When the client went away meanwhile, http_reply() just frees.
 */
#ifndef MEMHERD_COLLECTOR_API_HTTP_H
#define MEMHERD_COLLECTOR_API_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/api/peer.h"
#include "common/buf.h"
#include "common/error.h"

struct event_base;
struct http;
struct http_request;
struct tls_ctx;

/* X(NAME): methods that are understood; HEAD is answered as GET without the body. */
#define HTTP_METHOD_LIST(X) X(GET) X(HEAD) X(POST) X(PUT) X(DELETE) X(PATCH) X(OPTIONS)

enum http_method {
#define X(NAME) HTTP_##NAME,
	HTTP_METHOD_LIST(X)
#undef X
		HTTP_METHOD_COUNT
};

const char *http_method_name(enum http_method m);

struct http_config {
	const char *listen;        /* '127.0.0.1:7420', '[::1]:0' */
	const char *allowed_hosts; /* names that a Host field may carry beside localhost and
				    * addresses, one a line; may be NULL */
	struct tls_ctx *tls;       /* TLS_WEB_SERVER, or NULL for plain */
	struct peer_limits limits;
};

/* limits only: 512 connections, 64 an address, 10 s, 20 s, 60 s, 75 s. */
void http_config_init(struct http_config *cfg);

typedef void http_handler(void *arg, struct http_request *r);

/* Binds and serves. -EADDRINUSE etc. with a message that names the address. cfg is copied, the TLS
 * context is not. */
int http_new(struct event_base *base, const struct http_config *cfg, http_handler *handler,
	     void *arg, struct http **ret, struct error *err) must_use;
/* Closes all connections; requests that wait for an answer must still be replied to. */
void http_free(struct http **h);
/* The bound port. */
unsigned http_port(const struct http *h);
bool http_is_tls(const struct http *h);
const struct peer_stats *http_peer_stats(const struct http *h);

enum http_method http_request_method(const struct http_request *r);
/* As sent, still percent-encoded: path before '?', query after it ('' without one). */
const char *http_request_path(const struct http_request *r);
const char *http_request_query(const struct http_request *r);
/* NULL when absent. Name in any case. */
const char *http_request_header(const struct http_request *r, const char *name);
const void *http_request_body(const struct http_request *r, size_t *len);
const char *http_request_address(const struct http_request *r);
/* 16 hex digits, also in the answer as X-Request-Id. */
const char *http_request_id(const struct http_request *r);
/* Adds a field to the answer; one with CR or LF in the value is dropped. */
void http_request_set(struct http_request *r, const char *name, const char *value);

struct http_answer {
	int status;
	const char *type; /* media type; NULL without body */
	const void *body;
	size_t len;
	bool gzipped; /* body is gzip already and may only go to who accepts it */
	bool plain;   /* never compress: it holds a secret */
};

/* True when the client lists gzip. */
bool http_accepts_gzip(const struct http_request *r);
/* Sends and frees the request. */
void http_reply(struct http_request **r, const struct http_answer *a);

#endif
