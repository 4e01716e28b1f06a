/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.h - a framed TLS stream on a libevent loop, the same for both ends.
 *
 * It knows sockets, TLS and frames, and no policy. Bounds that it keeps: TLS within
 * CONN_HANDSHAKE_SEC, a frame that has begun within CONN_FRAME_SEC (absolute, not per read),
 * payloads up to a maximum that the owner raises after the greeting, unsent output up to
 * out_max. TCP_NODELAY is on and TCP_USER_TIMEOUT set. Callbacks come from the loop, never from
 * inside conn_send or conn_close; after on_close the conn is freed by itself.
 */
#ifndef MEMHERD_PROTO_CONN_H
#define MEMHERD_PROTO_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"
#include "proto/frame.h"

#define CONN_HANDSHAKE_SEC 10
#define CONN_FRAME_SEC     20

struct conn;
struct event_base;
struct tls_ctx;

struct conn_ops {
	/* TLS is up and the peer's certificate verified. */
	void (*on_open)(void *arg, struct conn *c);
	/* payload is only valid during the call. */
	void (*on_frame)(void *arg, struct conn *c, const struct frame *f);
	/* The end, exactly once, whoever caused it; why is for the log ('peer closed', 'frame:
	 * payload of 1048576 bytes exceeds 262144', 'TLS: certificate has expired'). */
	void (*on_close)(void *arg, struct conn *c, const char *why);
	/* Optional: unsent output fell below half of out_max. */
	void (*on_drain)(void *arg, struct conn *c);
};

/* Takes over the connected socket fd (also when it fails). */
int conn_accept(struct event_base *base, struct tls_ctx *tls, int fd, size_t out_max,
		const struct conn_ops *ops, void *arg, struct conn **ret,
		struct error *err) must_use;
/* host is a name or an address; resolving blocks, as agents have one collector to find. */
int conn_connect(struct event_base *base, struct tls_ctx *tls, const char *host, uint16_t port,
		 size_t out_max, const struct conn_ops *ops, void *arg, struct conn **ret,
		 struct error *err) must_use;

/* -ENOBUFS when out_max would be passed (nothing is sent), -ENOTCONN before on_open and after
 * close. */
int conn_send(struct conn *c, enum frame_type type, const void *payload, size_t len) must_use;
/* Flushes what is queued (bounded by CONN_HANDSHAKE_SEC), says close_notify, then on_close. */
void conn_close(struct conn *c, const char *why);
/* Closes at once; on_close is not called: for the owner's tear-down. */
void conn_free(struct conn **c);

/* Other deadlines than CONN_HANDSHAKE_SEC and CONN_FRAME_SEC, from now on; for tests. */
void conn_deadlines(struct conn *c, unsigned handshake_ms, unsigned frame_ms);
void conn_max_payload(struct conn *c, size_t max);
/* Stops and resumes reading: TCP then pushes back. */
void conn_pause(struct conn *c, bool paused);
size_t conn_unsent(const struct conn *c);
/* The UUID of the SAN URI memherd://host/<uuid> of the peer's certificate; -ENOENT without one. */
int conn_peer_host(const struct conn *c, uint8_t uuid[16]) must_use;
/* 'address:port' of the peer. */
const char *conn_peer_name(const struct conn *c);

#endif
