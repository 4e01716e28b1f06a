/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that may call the owner happens in one event, the turn: libevent's callbacks and
 * the public functions only note what happened and ask for a turn. So no callback comes from
 * inside conn_send, and nothing is freed under a caller.
 */
#include "proto/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/str.h"
#include "common/tls.h"

#define CONN_MAGIC 0x636f6e6eu
/* Frames in one turn, so that one loud peer does not hold up the others. */
#define TURN_FRAMES     64
#define USER_TIMEOUT_MS 30000
/* How long the peer may take to answer our close_notify. Closing with its bytes unread would
 * make TCP reset the connection, and a GoAway on its way would be lost. */
#define LINGER_MS 1000
#define HOST_URI  "memherd://host/"

enum conn_state {
	CONN_CONNECTING, /* TCP, of a client */
	CONN_HANDSHAKE,  /* TLS */
	CONN_OPEN,
	CONN_FLUSHING,  /* conn_close was called: unsent output goes first */
	CONN_LINGERING, /* close_notify is sent, the peer's is awaited */
	CONN_ENDED      /* on_close comes in the next turn */
};

struct conn {
	unsigned magic;
	enum conn_state state;
	struct event_base *base;
	struct tls_ctx *tls;
	const struct conn_ops *ops;
	void *arg;
	struct bufferevent *bev;
	struct event *turn;
	struct event *deadline;
	struct event *connected; /* while CONN_CONNECTING; owns fd */
	int fd;                  /* until bev has it */
	struct addrinfo *addrs;
	struct addrinfo *next_addr;
	size_t out_max;
	size_t max_payload;
	unsigned handshake_ms;
	unsigned frame_ms;
	bool told_open;
	bool paused;
	bool eof;      /* no more comes; what is here is read, then it ends */
	bool full;     /* input holds a whole frame: reading waits for the turn */
	bool in_frame; /* a frame has begun and its deadline runs */
	bool above;    /* output was above half: on_drain is due when it falls */
	bool broken;   /* TLS may not be used any more */
	bool busy;     /* inside the turn: conn_free waits for its end */
	bool freed;
	char peer[80];
	char why[300];
};

static void want_turn(struct conn *c)
{
	static const struct timeval now = {0, 0};

	/* A timer and not event_active: the loop looks at sockets in between. */
	event_add(c->turn, &now);
}

static void set_deadline(struct conn *c, unsigned ms)
{
	const struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

	event_add(c->deadline, &tv);
}

static void end(struct conn *c, const char *fmt, ...) printf_like(2, 3);
static void end(struct conn *c, const char *fmt, ...)
{
	va_list ap;

	if (c->state == CONN_ENDED)
		return;
	/* Who asked for the end said why already. */
	if (c->state != CONN_FLUSHING && c->state != CONN_LINGERING) {
		va_start(ap, fmt);
		vsnprintf(c->why, sizeof(c->why), fmt, ap);
		va_end(ap);
	}
	c->state = CONN_ENDED;
	event_del(c->deadline);
	want_turn(c);
}

static void destroy(struct conn *c)
{
	if (c->bev) {
		bufferevent_setcb(c->bev, NULL, NULL, NULL, NULL);
		bufferevent_disable(c->bev, EV_READ | EV_WRITE);
		bufferevent_free(c->bev);
	}
	if (c->connected)
		event_free(c->connected);
	if (c->turn)
		event_free(c->turn);
	if (c->deadline)
		event_free(c->deadline);
	if (c->fd >= 0)
		close(c->fd);
	if (c->addrs)
		freeaddrinfo(c->addrs);
	c->magic = 0;
	free(c);
}

static size_t unread(const struct conn *c)
{
	return c->bev ? evbuffer_get_length(bufferevent_get_input(c->bev)) : 0;
}

/* ---- the turn ---- */

/* 1 when a frame was given to the owner, 0 when more bytes are needed, -1 at the end. */
static int one_frame(struct conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct error err = {""};
	struct frame f;
	uint8_t *p;
	size_t size;

	if (evbuffer_get_length(in) < FRAME_HEADER_SIZE)
		return 0;
	p = evbuffer_pullup(in, FRAME_HEADER_SIZE);
	if (p && frame_parse(p, FRAME_HEADER_SIZE, c->max_payload, &f, &err) < 0) {
		end(c, "%s", err.msg);
		return -1;
	}
	size = p ? frame_size(p) : 0;
	if (p && evbuffer_get_length(in) < size)
		return 0;
	if (p)
		p = evbuffer_pullup(in, (ev_ssize_t)size);
	if (!p || frame_parse(p, size, c->max_payload, &f, &err) <= 0) {
		end(c, "out of memory");
		return -1;
	}
	if (c->in_frame)
		event_del(c->deadline);
	c->in_frame = false;
	c->ops->on_frame(c->arg, c, &f);
	if (!c->freed)
		evbuffer_drain(in, size);
	return 1;
}

static bool may_read(const struct conn *c)
{
	return !c->freed && !c->paused && c->told_open && c->state == CONN_OPEN;
}

/* True when there may be more frames than this turn could take. */
static bool read_frames(struct conn *c)
{
	int rc = 1;

	for (int n = 0; n < TURN_FRAMES && may_read(c) && rc > 0; n++)
		rc = one_frame(c);
	if (!may_read(c))
		return false;
	if (rc > 0) {
		want_turn(c);
		return true;
	}
	if (unread(c) && !c->in_frame) {
		c->in_frame = true;
		set_deadline(c, c->frame_ms);
	}
	return false;
}

static void say_goodbye(struct conn *c)
{
	if (c->bev && !c->broken && c->told_open)
		SSL_shutdown(bufferevent_openssl_get_ssl(c->bev));
	ERR_clear_error();
}

static void go_lingering(struct conn *c)
{
	say_goodbye(c);
	c->state = CONN_LINGERING;
	set_deadline(c, MIN_OF(LINGER_MS, c->handshake_ms));
}

static void closing(struct conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);

	evbuffer_drain(in, evbuffer_get_length(in));
	if (c->state == CONN_FLUSHING && conn_unsent(c) == 0)
		go_lingering(c);
}

static void tell_drained(struct conn *c)
{
	if (!c->above || conn_unsent(c) > c->out_max / 2)
		return;
	c->above = false;
	if (c->ops->on_drain)
		c->ops->on_drain(c->arg, c);
}

/* Not libevent's read watermark: above it, it calls back without end until input is drained,
 * and the turn, a timer, would never come. */
static void regulate(struct conn *c)
{
	bool full = unread(c) >= FRAME_HEADER_SIZE + c->max_payload;
	bool was = c->full;

	c->full = full;
	if (full)
		bufferevent_disable(c->bev, EV_READ);
	else if (was && !c->paused)
		bufferevent_enable(c->bev, EV_READ);
}

static void open_up(struct conn *c)
{
	c->told_open = true;
	event_del(c->deadline);
	if (c->paused)
		bufferevent_disable(c->bev, EV_READ);
	c->ops->on_open(c->arg, c);
}

static void take_turn(struct conn *c)
{
	bool more = false;

	if (c->state == CONN_OPEN && !c->told_open)
		open_up(c);
	if (may_read(c))
		more = read_frames(c);
	if (!c->freed && c->state == CONN_OPEN)
		tell_drained(c);
	if (!c->freed && (c->state == CONN_FLUSHING || c->state == CONN_LINGERING))
		closing(c);
	if (!c->freed && c->bev)
		regulate(c);
	if (!c->freed && c->eof && !more)
		c->state = CONN_ENDED;
	if (!c->freed && c->state == CONN_ENDED) {
		say_goodbye(c);
		c->ops->on_close(c->arg, c, c->why);
		c->freed = true;
	}
}

static void on_turn(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct conn *c = arg;

	MAGIC_CHECK(c, CONN_MAGIC);
	c->busy = true;
	take_turn(c);
	c->busy = false;
	if (c->freed)
		destroy(c);
}

static void on_deadline(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct conn *c = arg;

	MAGIC_CHECK(c, CONN_MAGIC);
	switch (c->state) {
	case CONN_CONNECTING:
		end(c, "no connection within %u ms", c->handshake_ms);
		break;
	case CONN_HANDSHAKE:
		end(c, "TLS: no handshake within %u ms", c->handshake_ms);
		break;
	case CONN_OPEN:
		end(c, "frame: incomplete after %u ms", c->frame_ms);
		break;
	case CONN_FLUSHING:
	case CONN_LINGERING:
	case CONN_ENDED:
		end(c, "closed");
		break;
	}
}

/* ---- what libevent says ---- */

static void explain_tls(const struct conn *c, unsigned long code, char *out, size_t size)
{
	long verify = SSL_get_verify_result(bufferevent_openssl_get_ssl(c->bev));
	int reason = ERR_GET_REASON(code);
	const char *text = ERR_reason_error_string(code);

	if (verify == X509_V_ERR_APPLICATION_VERIFICATION)
		snprintf(out, size, "TLS: the peer's CA is not the one that the token pins");
	else if (verify != X509_V_OK && c->state == CONN_HANDSHAKE)
		snprintf(out, size, "TLS: %s", X509_verify_cert_error_string(verify));
	else if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		snprintf(out, size, "peer closed without a goodbye");
	else if (reason > SSL_AD_REASON_OFFSET)
		snprintf(out, size, "TLS: peer refused us: %s", text ? text : "unknown alert");
	else
		snprintf(out, size, "TLS: %s", text ? text : "unknown cause");
}

static void explain(struct conn *c, int sys)
{
	unsigned long code = bufferevent_get_openssl_error(c->bev);

	if (code)
		explain_tls(c, code, c->why, sizeof(c->why));
	else
		str_copy(c->why, sizeof(c->why),
			 sys ? strerror(sys) : "peer closed without a goodbye");
	ERR_clear_error();
}

static void on_bev_event(struct bufferevent *bev unused_arg, short what, void *arg)
{
	int sys = EVUTIL_SOCKET_ERROR();
	struct conn *c = arg;
	bool ours;

	MAGIC_CHECK(c, CONN_MAGIC);
	want_turn(c);
	if (what & BEV_EVENT_CONNECTED) {
		c->state = c->state == CONN_HANDSHAKE ? CONN_OPEN : c->state;
	} else if (!c->eof && c->state != CONN_ENDED) {
		ours = c->state == CONN_FLUSHING || c->state == CONN_LINGERING;
		c->eof = true;
		c->broken = !(what & BEV_EVENT_EOF);
		if (ours)
			return;
		if (c->broken)
			explain(c, sys);
		else
			str_copy(c->why, sizeof(c->why), "peer closed");
	}
}

static void on_bev_ready(struct bufferevent *bev unused_arg, void *arg)
{
	struct conn *c = arg;

	MAGIC_CHECK(c, CONN_MAGIC);
	regulate(c);
	want_turn(c);
}

/* ---- beginning ---- */

static void set_watermark(struct conn *c)
{
	if (!c->bev)
		return;
	bufferevent_setwatermark(c->bev, EV_WRITE, c->state == CONN_FLUSHING ? 0 : c->out_max / 2,
				 0);
}

static void set_socket_options(int fd)
{
	const int on = 1;
	const unsigned timeout = USER_TIMEOUT_MS;

	/* A socket that refuses them still carries bytes. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)evutil_make_socket_nonblocking(fd);
	(void)evutil_make_socket_closeonexec(fd);
}

static void name_peer(struct conn *c, const struct sockaddr *sa, socklen_t len)
{
	char host[INET6_ADDRSTRLEN + 20], port[8];

	if (getnameinfo(sa, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		str_copy(c->peer, sizeof(c->peer), "unknown");
	else
		snprintf(c->peer, sizeof(c->peer), sa->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s",
			 host, port);
}

static struct conn *conn_new(struct event_base *base, struct tls_ctx *tls, size_t out_max,
			     const struct conn_ops *ops, void *arg)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	*c = (struct conn){
		.magic = CONN_MAGIC,
		.base = base,
		.tls = tls,
		.ops = ops,
		.arg = arg,
		.fd = -1,
		.out_max = out_max,
		.max_payload = FRAME_MAX_GREETING,
		.handshake_ms = CONN_HANDSHAKE_SEC * 1000,
		.frame_ms = CONN_FRAME_SEC * 1000,
	};
	c->turn = evtimer_new(base, on_turn, c);
	c->deadline = evtimer_new(base, on_deadline, c);
	if (!c->turn || !c->deadline) {
		destroy(c);
		return NULL;
	}
	set_deadline(c, c->handshake_ms);
	return c;
}

static int start_tls(struct conn *c, enum bufferevent_ssl_state side)
{
	SSL *ssl = SSL_new(tls_ctx_native(c->tls));

	if (!ssl)
		return -ENOMEM;
	set_socket_options(c->fd);
	c->state = CONN_HANDSHAKE;
	c->bev = bufferevent_openssl_socket_new(c->base, c->fd, ssl, side, BEV_OPT_CLOSE_ON_FREE);
	if (!c->bev)
		return -ENOMEM; /* libevent frees ssl, fd is still ours */
	c->fd = -1;
	bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 0);
	bufferevent_setcb(c->bev, on_bev_ready, on_bev_ready, on_bev_event, c);
	set_watermark(c);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	return 0;
}

int conn_accept(struct event_base *base, struct tls_ctx *tls, int fd, size_t out_max,
		const struct conn_ops *ops, void *arg, struct conn **ret, struct error *err)
{
	struct conn *c = conn_new(base, tls, out_max, ops, arg);
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof(ss);

	if (!c) {
		close(fd);
		return error_set(err, -ENOMEM, "no memory for a connection");
	}
	c->fd = fd;
	if (getpeername(fd, (struct sockaddr *)&ss, &len) < 0)
		len = 0;
	name_peer(c, (struct sockaddr *)&ss, len);
	if (start_tls(c, BUFFEREVENT_SSL_ACCEPTING) < 0) {
		destroy(c);
		return error_set(err, -ENOMEM, "no memory for a TLS connection");
	}
	*ret = c;
	return 0;
}

static void on_connected(evutil_socket_t fd, short what, void *arg);

/* Begins with the next address; -errno of the last one when none is left. */
static int try_next(struct conn *c)
{
	int rc = -EHOSTUNREACH;

	for (; c->next_addr; c->next_addr = c->next_addr->ai_next) {
		const struct addrinfo *ai = c->next_addr;

		if (c->fd >= 0)
			close(c->fd);
		c->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (c->fd < 0) {
			rc = -errno;
			continue;
		}
		name_peer(c, ai->ai_addr, ai->ai_addrlen);
		if (connect(c->fd, ai->ai_addr, ai->ai_addrlen) < 0 && errno != EINPROGRESS) {
			rc = -errno;
			continue;
		}
		c->next_addr = ai->ai_next;
		if (c->connected)
			event_free(c->connected);
		c->connected = event_new(c->base, c->fd, EV_WRITE, on_connected, c);
		return c->connected && event_add(c->connected, NULL) == 0 ? 0 : -ENOMEM;
	}
	return rc;
}

static void on_connected(evutil_socket_t fd, short what unused_arg, void *arg)
{
	struct conn *c = arg;
	socklen_t len = sizeof(int);
	int cause = 0, rc;

	MAGIC_CHECK(c, CONN_MAGIC);
	if (c->state != CONN_CONNECTING)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &cause, &len) < 0)
		cause = errno;
	if (!cause)
		rc = start_tls(c, BUFFEREVENT_SSL_CONNECTING);
	else
		rc = c->next_addr ? try_next(c) : -cause;
	if (rc < 0)
		end(c, "cannot connect to '%s': %s", c->peer, strerror(-rc));
}

int conn_connect(struct event_base *base, struct tls_ctx *tls, const char *host, uint16_t port,
		 size_t out_max, const struct conn_ops *ops, void *arg, struct conn **ret,
		 struct error *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct conn *c = conn_new(base, tls, out_max, ops, arg);
	char service[8];
	int rc;

	if (!c)
		return error_set(err, -ENOMEM, "no memory for a connection");
	snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(host, service, &hints, &c->addrs);
	if (rc) {
		destroy(c);
		return error_set(err, -EHOSTUNREACH, "cannot resolve '%s': %s", host,
				 gai_strerror(rc));
	}
	c->next_addr = c->addrs;
	rc = try_next(c);
	if (rc < 0) {
		destroy(c);
		return error_sys(err, rc, "cannot connect to '%s' port %u", host, port);
	}
	*ret = c;
	return 0;
}

/* ---- the owner's verbs ---- */

int conn_send(struct conn *c, enum frame_type type, const void *payload, size_t len)
{
	struct evbuffer_iovec room;
	struct evbuffer *out;

	MAGIC_CHECK(c, CONN_MAGIC);
	if (c->state != CONN_OPEN || c->eof)
		return -ENOTCONN;
	if (len > FRAME_MAX_PAYLOAD)
		return -EMSGSIZE;
	if (conn_unsent(c) + FRAME_HEADER_SIZE + len > c->out_max)
		return -ENOBUFS;
	out = bufferevent_get_output(c->bev);
	/* In one piece: a header alone would become a TLS record of its own. */
	if (evbuffer_reserve_space(out, (ev_ssize_t)(FRAME_HEADER_SIZE + len), &room, 1) != 1)
		return -ENOMEM;
	frame_header(room.iov_base, type, len);
	if (len)
		memcpy((uint8_t *)room.iov_base + FRAME_HEADER_SIZE, payload, len);
	room.iov_len = FRAME_HEADER_SIZE + len;
	if (evbuffer_commit_space(out, &room, 1) < 0)
		return -ENOMEM;
	if (conn_unsent(c) > c->out_max / 2)
		c->above = true;
	return 0;
}

void conn_close(struct conn *c, const char *why)
{
	MAGIC_CHECK(c, CONN_MAGIC);
	if (c->state == CONN_CONNECTING || c->state == CONN_HANDSHAKE) {
		end(c, "%s", why);
	} else if (c->state == CONN_OPEN) {
		str_copy(c->why, sizeof(c->why), why);
		c->state = CONN_FLUSHING;
		set_watermark(c);
		/* A paused peer's bytes are read again, to be dropped. */
		c->paused = false;
		bufferevent_enable(c->bev, EV_READ);
		set_deadline(c, c->handshake_ms);
		want_turn(c);
	}
}

void conn_free(struct conn **c)
{
	if (!*c)
		return;
	MAGIC_CHECK(*c, CONN_MAGIC);
	(*c)->freed = true;
	if (!(*c)->busy)
		destroy(*c);
	*c = NULL;
}

void conn_deadlines(struct conn *c, unsigned handshake_ms, unsigned frame_ms)
{
	c->handshake_ms = handshake_ms;
	c->frame_ms = frame_ms;
	if (c->state == CONN_CONNECTING || c->state == CONN_HANDSHAKE)
		set_deadline(c, handshake_ms);
}

void conn_max_payload(struct conn *c, size_t max)
{
	c->max_payload = MIN_OF(max, (size_t)FRAME_MAX_PAYLOAD);
	want_turn(c);
}

void conn_pause(struct conn *c, bool paused)
{
	if (c->paused == paused)
		return;
	c->paused = paused;
	if (c->state != CONN_OPEN)
		return;
	if (paused) {
		bufferevent_disable(c->bev, EV_READ);
		/* The frame is late because of us. */
		c->in_frame = false;
		event_del(c->deadline);
	} else {
		if (!c->full)
			bufferevent_enable(c->bev, EV_READ);
		want_turn(c);
	}
}

size_t conn_unsent(const struct conn *c)
{
	return c->bev ? evbuffer_get_length(bufferevent_get_output(c->bev)) : 0;
}

static int uuid_of_uri(const ASN1_IA5STRING *uri, uint8_t uuid[16])
{
	const size_t prefix = sizeof(HOST_URI) - 1;
	size_t len = (size_t)ASN1_STRING_length(uri);
	char text[UUID_TEXT_SIZE];

	if (len != prefix + UUID_TEXT_SIZE - 1 ||
	    memcmp(ASN1_STRING_get0_data(uri), HOST_URI, prefix) != 0)
		return -ENOENT;
	memcpy(text, ASN1_STRING_get0_data(uri) + prefix, UUID_TEXT_SIZE - 1);
	text[UUID_TEXT_SIZE - 1] = '\0';
	return uuid_parse(uuid, text) < 0 ? -ENOENT : 0;
}

int conn_peer_host(const struct conn *c, uint8_t uuid[16])
{
	SSL *ssl = c->bev ? bufferevent_openssl_get_ssl(c->bev) : NULL;
	X509 *cert = ssl ? SSL_get0_peer_certificate(ssl) : NULL;
	GENERAL_NAMES *names;
	int rc = -ENOENT;

	if (!cert || !c->told_open)
		return -ENOENT;
	names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; rc && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_URI)
			rc = uuid_of_uri(name->d.uniformResourceIdentifier, uuid);
	}
	GENERAL_NAMES_free(names);
	return rc;
}

const char *conn_peer_name(const struct conn *c)
{
	return c->peer;
}
