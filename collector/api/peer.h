/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.h - one HTTP connection seen from below evhttp: its guard, its deadlines, its place among
 * the connections of its address.
 *
 * Each connection is a filter bufferevent over the socket (or TLS) one. That is what ties a peer's
 * life to its bufferevent's: evhttp frees connections on paths that call nobody, the filter's own
 * free callback is always called. evhttp's timeouts are per read; the deadlines here are absolute,
 * so a header that trickles in at a byte a second is cut.
 * Used by http.c only.
 */
#ifndef MEMHERD_COLLECTOR_API_PEER_H
#define MEMHERD_COLLECTOR_API_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"

struct bufferevent;
struct event_base;
struct peer;
struct peers;

#define PEER_ADDRESS_SIZE 64

struct peer_limits {
	unsigned connections; /* in all */
	unsigned per_address; /* not held against loopback: a reverse proxy lives there */
	int64_t first_us;     /* from accept to the first byte of a request, TLS included */
	int64_t read_us;      /* from the first byte of a request to its last */
	int64_t answer_us;    /* from there to the last byte of the answer */
	int64_t idle_us;      /* between requests */
};

struct peer_stats {
	unsigned open;
	uint64_t accepted;
	uint64_t refused;  /* by the guard or a cap */
	uint64_t timeouts; /* a deadline passed in mid-request */
};

/* Ends a TLS session with close_notify; a no-op for plain sockets. */
typedef void peer_farewell(struct bufferevent *lower);

int peers_new(struct event_base *base, const struct peer_limits *limits, peer_farewell *farewell,
	      struct peers **ret) must_use;
/* Connections that evhttp has not let go of yet live on by themselves. */
void peers_free(struct peers **set);
const struct peer_stats *peers_stats(const struct peers *set);

/* Wraps a new connection's bufferevent, whose socket comes later; takes it over. NULL (and lower
 * freed) without memory. */
struct bufferevent *peers_wrap(struct peers *set, struct bufferevent *lower);
struct peer *peers_find(struct peers *set, const struct bufferevent *bev);

/* '192.0.2.7'; '' before the socket is known. */
const char *peer_address(const struct peer *p);
struct bufferevent *peer_lower(const struct peer *p);
/* The answer to a request is in the lower buffer. */
void peer_answered(struct peer *p);
/* The answer at hand is the last one: what comes after it is not read, and once it has left the
 * connection is closed. evhttp would close while the answer still lies in the lower buffer. */
void peer_end(struct peer *p);

#endif
