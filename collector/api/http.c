/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "collector/api/guard.h"
#include "collector/api/gzip.h"
#include "common/address.h"
#include "common/clock.h"
#include "common/sign.h"
#include "common/str.h"
#include "common/tls.h"

#define HTTP_MAGIC         0x68747470u
#define HTTP_REQUEST_MAGIC 0x68747271u
#define GZIP_FROM          1400 /* bytes: what fits one packet gains nothing */
/* evhttp's own timeout is only a backstop behind the deadlines of peer.c. */
#define BACKSTOP_S 180

struct http_request {
	unsigned magic;
	struct http *http;
	struct evhttp_request *ev; /* NULL: the client is gone */
	struct evhttp_connection *con;
	enum http_method method;
	char *path; /* owned; query points into it */
	const char *query;
	char id[17];
	char address[PEER_ADDRESS_SIZE];
	TAILQ_ENTRY(http_request) entry;
};

struct http {
	unsigned magic;
	struct event_base *base;
	struct evhttp *ev;
	struct peers *peers;
	struct tls_ctx *tls;
	char *allowed_hosts;
	http_handler *handler;
	void *arg;
	unsigned port;
	TAILQ_HEAD(, http_request) pending;
};

static const struct {
	const char *name;
	enum evhttp_cmd_type type;
} methods[HTTP_METHOD_COUNT] = {
#define X(NAME) [HTTP_##NAME] = {#NAME, EVHTTP_REQ_##NAME},
	HTTP_METHOD_LIST(X)
#undef X
};

/* On every answer. The page loads only what this server serves and nothing runs inline. */
static const char *const security_headers[][2] = {
	{"Content-Security-Policy",
	 "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
	 "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"},
	{"X-Content-Type-Options", "nosniff"},
	{"Referrer-Policy", "no-referrer"},
	{"X-Frame-Options", "DENY"},
};

const char *http_method_name(enum http_method m)
{
	return methods[m].name;
}

void http_config_init(struct http_config *cfg)
{
	*cfg = (struct http_config){
		.limits = {.connections = 512,
			   .per_address = 64,
			   .first_us = 10 * USEC_PER_SEC,
			   .read_us = 20 * USEC_PER_SEC,
			   .answer_us = 60 * USEC_PER_SEC,
			   .idle_us = 75 * USEC_PER_SEC},
	};
}

unsigned http_port(const struct http *h)
{
	return h->port;
}

bool http_is_tls(const struct http *h)
{
	return h->tls != NULL;
}

const struct peer_stats *http_peer_stats(const struct http *h)
{
	return peers_stats(h->peers);
}

/* ---- request ---- */

enum http_method http_request_method(const struct http_request *r)
{
	return r->method;
}

const char *http_request_path(const struct http_request *r)
{
	return r->path;
}

const char *http_request_query(const struct http_request *r)
{
	return r->query;
}

const char *http_request_header(const struct http_request *r, const char *name)
{
	return r->ev ? evhttp_find_header(evhttp_request_get_input_headers(r->ev), name) : NULL;
}

const void *http_request_body(const struct http_request *r, size_t *len)
{
	struct evbuffer *in = r->ev ? evhttp_request_get_input_buffer(r->ev) : NULL;

	*len = in ? evbuffer_get_length(in) : 0;
	return *len ? (const void *)evbuffer_pullup(in, -1) : "";
}

const char *http_request_address(const struct http_request *r)
{
	return r->address;
}

const char *http_request_id(const struct http_request *r)
{
	return r->id;
}

void http_request_set(struct http_request *r, const char *name, const char *value)
{
	struct evkeyvalq *out = r->ev ? evhttp_request_get_output_headers(r->ev) : NULL;

	if (!out || strpbrk(value, "\r\n"))
		return;
	evhttp_remove_header(out, name);
	evhttp_add_header(out, name, value);
}

/* 'q=0', 'q=0.0', ... within [p, end): the client names it to refuse it (RFC 9110 12.4.2). */
static bool is_refused(const char *p, const char *end)
{
	const char *q = memmem(p, (size_t)(end - p), "q=0", 3);

	if (!q)
		return false;
	for (q += 3; q < end && (*q == '.' || *q == '0'); q++)
		;
	return q == end || *q == ' ' || *q == '\t';
}

bool http_accepts_gzip(const struct http_request *r)
{
	const char *p = http_request_header(r, "Accept-Encoding");

	while (p && *p) {
		const char *end;
		size_t name;

		p += strspn(p, " \t");
		end = p + strcspn(p, ",");
		name = strcspn(p, ",; \t");
		if ((name == 4 && strncasecmp(p, "gzip", 4) == 0) || (name == 1 && *p == '*'))
			return !is_refused(p, end);
		p = *end ? end + 1 : end;
	}
	return false;
}

static void request_free(struct http_request **slot)
{
	struct http_request *r = take_ptr(*slot);

	if (!r)
		return;
	if (r->http)
		TAILQ_REMOVE(&r->http->pending, r, entry);
	r->magic = 0;
	free(r->path);
	free(r);
}

static void put_body(struct http_request *r, struct evbuffer *out, const struct http_answer *a)
{
	auto_buf struct buf packed = BUF_INIT(a->len + 1024);

	if (a->gzipped)
		http_request_set(r, "Content-Encoding", "gzip");
	if (a->len >= GZIP_FROM && !a->plain && !a->gzipped) {
		http_request_set(r, "Vary", "Accept-Encoding");
		if (http_accepts_gzip(r) && gzip_pack(&packed, a->body, a->len) == 0) {
			http_request_set(r, "Content-Encoding", "gzip");
			evbuffer_add(out, packed.data, packed.len);
			return;
		}
	}
	evbuffer_add(out, a->body, a->len);
}

static void on_complete(struct evhttp_request *ev, void *arg)
{
	struct http *h = arg;
	struct evhttp_connection *con = evhttp_request_get_connection(ev);
	struct peer *p;

	MAGIC_CHECK(h, HTTP_MAGIC);
	p = con ? peers_find(h->peers, evhttp_connection_get_bufferevent(con)) : NULL;
	if (p)
		peer_answered(p);
}

void http_reply(struct http_request **slot, const struct http_answer *a)
{
	struct http_request *r = *slot;
	struct evbuffer *body;
	char length[24];

	MAGIC_CHECK(r, HTTP_REQUEST_MAGIC);
	body = r->ev ? evbuffer_new() : NULL;
	if (body) {
		for (size_t i = 0; i < ARRAY_SIZE(security_headers); i++)
			http_request_set(r, security_headers[i][0], security_headers[i][1]);
		http_request_set(r, "X-Request-Id", r->id);
		if (a->type)
			http_request_set(r, "Content-Type", a->type);
		put_body(r, body, a);
		if (a->status != 204 && a->status != 304) {
			snprintf(length, sizeof(length), "%zu", evbuffer_get_length(body));
			http_request_set(r, "Content-Length", length);
		}
		if (r->method == HTTP_HEAD)
			evbuffer_drain(body, evbuffer_get_length(body));
		evhttp_request_set_on_complete_cb(r->ev, on_complete, r->http);
		/* A filter moves on what is added while it may write, not what lay there before. */
		bufferevent_enable(evhttp_connection_get_bufferevent(r->con), EV_WRITE);
		evhttp_send_reply(r->ev, a->status, NULL, body);
		evbuffer_free(body);
	}
	request_free(slot);
}

/* ---- connection ---- */

/* OpenSSL clients take a TCP end without close_notify for an attack and drop the body. */
static void farewell(struct bufferevent *lower)
{
	SSL *ssl = bufferevent_openssl_get_ssl(lower);

	if (!ssl || !SSL_is_init_finished(ssl))
		return;
	SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN);
	SSL_shutdown(ssl);
}

static void on_connection_closed(struct evhttp_connection *con, void *arg)
{
	struct http *h = arg;
	struct http_request *r;
	struct peer *p;

	MAGIC_CHECK(h, HTTP_MAGIC);
	p = peers_find(h->peers, evhttp_connection_get_bufferevent(con));
	if (p)
		farewell(peer_lower(p));
	TAILQ_FOREACH (r, &h->pending, entry)
		if (r->con == con)
			r->ev = NULL;
}

static struct bufferevent *make_bufferevent(struct http *h)
{
	struct bufferevent *lower;
	SSL *ssl;

	if (!h->tls)
		return bufferevent_socket_new(h->base, -1, BEV_OPT_CLOSE_ON_FREE);
	ssl = SSL_new(tls_ctx_native(h->tls));
	if (!ssl)
		return NULL;
	lower = bufferevent_openssl_socket_new(h->base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING,
					       BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (lower)
		bufferevent_openssl_set_allow_dirty_shutdown(lower, 1);
	else
		SSL_free(ssl);
	return lower;
}

static struct bufferevent *on_accept(struct event_base *base unused_arg, void *arg)
{
	struct http *h = arg;
	struct bufferevent *lower;

	MAGIC_CHECK(h, HTTP_MAGIC);
	lower = make_bufferevent(h);
	return lower ? peers_wrap(h->peers, lower) : NULL;
}

/* ---- requests in ---- */

static bool name_is_listed(const char *list, const char *name, size_t len)
{
	while (list && *list) {
		size_t n = strcspn(list, "\n");

		if (n == len && strncasecmp(list, name, n) == 0)
			return true;
		list += n + (list[n] == '\n');
	}
	return false;
}

/*
 * DNS rebinding makes a browser send its user's cookies here under the attacker's name; it cannot
 * make it send an address, so addresses are fine whatever they are.
 */
static bool host_is_allowed(const struct http *h, const char *host)
{
	struct in6_addr any;
	char name[INET6_ADDRSTRLEN];
	size_t len;

	if (!host)
		return false;
	if (*host == '[') {
		len = strcspn(++host, "]");
		return len < sizeof(name) && memcpy(name, host, len) && (name[len] = '\0', true) &&
		       inet_pton(AF_INET6, name, &any) == 1;
	}
	len = strcspn(host, ":");
	if (len < sizeof(name)) {
		memcpy(name, host, len);
		name[len] = '\0';
		if (inet_pton(AF_INET, name, &any) == 1)
			return true;
	}
	return name_is_listed("localhost", host, len) ||
	       name_is_listed(h->allowed_hosts, host, len);
}

/* Closing after the answer is ours to do (peer_end), so evhttp must believe that it keeps alive. */
static void take_connection_field(struct evhttp_request *ev, struct peer *p)
{
	struct evkeyvalq *in = evhttp_request_get_input_headers(ev);
	const char *wish = evhttp_find_header(in, "Connection");
	bool old = ev->major == 1 && ev->minor == 0;

	if ((wish && strcasestr(wish, "close")) ||
	    (old && !(wish && strcasestr(wish, "keep-alive"))))
		peer_end(p);
	evhttp_remove_header(in, "Connection");
	evhttp_remove_header(in, "Proxy-Connection");
	if (old)
		evhttp_add_header(in, "Connection", "keep-alive");
}

static int find_method(enum evhttp_cmd_type type)
{
	for (int i = 0; i < HTTP_METHOD_COUNT; i++)
		if (methods[i].type == type)
			return i;
	return -1;
}

static struct http_request *request_new(struct http *h, struct evhttp_request *ev,
					const struct peer *p)
{
	struct http_request *r = calloc(1, sizeof(*r));
	uint8_t id[8];
	char *mark;

	if (!r)
		return NULL;
	r->path = strdup(evhttp_request_get_uri(ev));
	if (!r->path) {
		free(r);
		return NULL;
	}
	r->magic = HTTP_REQUEST_MAGIC;
	r->http = h;
	r->ev = ev;
	r->con = evhttp_request_get_connection(ev);
	mark = strchr(r->path, '?');
	r->query = mark ? mark + 1 : "";
	if (mark)
		*mark = '\0';
	random_bytes(id, sizeof(id));
	str_hex(r->id, id, sizeof(id));
	str_copy(r->address, sizeof(r->address), peer_address(p));
	TAILQ_INSERT_TAIL(&h->pending, r, entry);
	return r;
}

static void take_request(struct http *h, struct evhttp_request *ev)
{
	struct evhttp_connection *con = evhttp_request_get_connection(ev);
	struct peer *p = peers_find(h->peers, evhttp_connection_get_bufferevent(con));
	int method = find_method(evhttp_request_get_command(ev));
	struct http_request *r = p && method >= 0 ? request_new(h, ev, p) : NULL;
	static const char misdirected[] =
		"{\"type\":\"about:blank\",\"title\":\"Misdirected Request\",\"status\":421,"
		"\"detail\":\"this server does not answer to that Host; list the name in "
		"'http_hosts'\"}\n";

	evhttp_connection_set_closecb(con, on_connection_closed, h);
	if (!r) {
		evhttp_send_reply(ev, 503, NULL, NULL);
		return;
	}
	r->method = (enum http_method)method;
	take_connection_field(ev, p);
	if (host_is_allowed(h, http_request_header(r, "Host")))
		h->handler(h->arg, r);
	else
		http_reply(&r, &(struct http_answer){.status = 421,
						     .type = "application/problem+json",
						     .body = misdirected,
						     .len = sizeof(misdirected) - 1});
}

static void on_request(struct evhttp_request *ev, void *arg)
{
	struct http *h = arg;

	MAGIC_CHECK(h, HTTP_MAGIC);
	take_request(h, ev);
}

/* ---- server ---- */

/* 'ADDRESS:PORT' or '[ADDRESS]:PORT'; port 0 means any, which evutil's parser refuses. */
static int parse_listen(const char *text, struct sockaddr_storage *ss, socklen_t *len)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ss;
	char host[ADDRESS_HOST_SIZE];
	uint16_t port;

	if (address_parse(text, host, &port) < 0)
		return -EINVAL;
	if (*text == '[') {
		*v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
		*len = sizeof(*v6);
		return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 ? 0 : -EINVAL;
	}
	if (strcmp(host, "localhost") == 0)
		str_copy(host, sizeof(host), "127.0.0.1");
	*v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
	*len = sizeof(*v4);
	return inet_pton(AF_INET, host, &v4->sin_addr) == 1 ? 0 : -EINVAL;
}

static int bind_listener(const char *text, int *ret_fd, unsigned *ret_port, struct error *err)
{
	auto_close int fd = -1;
	struct sockaddr_storage ss = {0};
	socklen_t len;
	socklen_t bound = sizeof(ss);
	int on = 1;

	if (parse_listen(text, &ss, &len) < 0)
		return error_set(err, -EINVAL, "listen address '%s' is not ADDRESS:PORT", text);
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_sys(err, -errno, "cannot make a socket for '%s'", text);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* Inherited by what is accepted: head and body are two TLS records, and Nagle would hold
	 * the second for 40 ms. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&ss, len) < 0)
		return error_sys(err, -errno, "cannot listen on '%s'", text);
	if (listen(fd, 128) < 0)
		return error_sys(err, -errno, "cannot listen on '%s'", text);
	if (getsockname(fd, (struct sockaddr *)&ss, &bound) < 0)
		return error_sys(err, -errno, "cannot read the address of '%s'", text);
	*ret_port = ntohs(ss.ss_family == AF_INET ? ((struct sockaddr_in *)&ss)->sin_port
						  : ((struct sockaddr_in6 *)&ss)->sin6_port);
	*ret_fd = take_fd(fd);
	return 0;
}

static int set_up(struct http *h, const struct http_config *cfg, struct error *err)
{
	auto_close int fd = -1;
	ev_uint16_t allowed = 0;
	int rc = peers_new(h->base, &cfg->limits, farewell, &h->peers);

	if (rc < 0)
		return error_sys(err, rc, "cannot start the web server");
	h->allowed_hosts = strdup(cfg->allowed_hosts ? cfg->allowed_hosts : "");
	h->ev = evhttp_new(h->base);
	if (!h->ev || !h->allowed_hosts)
		return error_sys(err, -ENOMEM, "cannot start the web server");
	for (int i = 0; i < HTTP_METHOD_COUNT; i++)
		allowed |= (ev_uint16_t)methods[i].type;
	evhttp_set_allowed_methods(h->ev, allowed);
	evhttp_set_max_headers_size(h->ev, GUARD_HEAD_MAX);
	evhttp_set_max_body_size(h->ev, GUARD_BODY_MAX);
	evhttp_set_timeout(h->ev, BACKSTOP_S);
	evhttp_set_bevcb(h->ev, on_accept, h);
	evhttp_set_gencb(h->ev, on_request, h);
	rc = bind_listener(cfg->listen, &fd, &h->port, err);
	if (rc < 0)
		return rc;
	if (!evhttp_accept_socket_with_handle(h->ev, fd))
		return error_sys(err, -ENOMEM, "cannot accept on '%s'", cfg->listen);
	(void)take_fd(fd);
	return 0;
}

int http_new(struct event_base *base, const struct http_config *cfg, http_handler *handler,
	     void *arg, struct http **ret, struct error *err)
{
	struct http *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return error_sys(err, -ENOMEM, "cannot start the web server");
	h->magic = HTTP_MAGIC;
	h->base = base;
	h->tls = cfg->tls;
	h->handler = handler;
	h->arg = arg;
	TAILQ_INIT(&h->pending);
	rc = set_up(h, cfg, err);
	if (rc < 0) {
		http_free(&h);
		return rc;
	}
	*ret = h;
	return 0;
}

void http_free(struct http **slot)
{
	struct http *h = take_ptr(*slot);
	struct http_request *r;

	if (!h)
		return;
	if (h->ev)
		evhttp_free(h->ev);
	while ((r = TAILQ_FIRST(&h->pending))) {
		TAILQ_REMOVE(&h->pending, r, entry);
		r->http = NULL;
		r->ev = NULL;
	}
	if (h->peers)
		peers_free(&h->peers);
	free(h->allowed_hosts);
	h->magic = 0;
	free(h);
}
