/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h - one agent's connection, from its certificate to its end.
 *
 * A connection carries the streams that its Hello lists, all of them live and each with numbers and
 * acknowledgements of its own: what an agent sends on one does not wait for another's.
 *
 * States: greeting (TLS is up, Hello awaited) -> opening (the store fences older connections and
 * says what it has) -> streaming -> closing. Each but streaming has a deadline; streaming needs a
 * frame within SESSION_DEAD_SEC. A second connection of a host replaces the first: after a cut, the
 * first is only not yet known to be dead.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_SESSION_H
#define MEMHERD_COLLECTOR_FLEET_SESSION_H

#include "collector/fleet/ingest.h"
#include "collector/fleet/listener.h"
#include "proto/command.h"
#include "proto/wire.h"

#define SESSION_HELLO_SEC    5
#define SESSION_OPEN_SEC     30
#define SESSION_DEAD_SEC     45
#define SESSION_HEARTBEAT_MS 15000

struct event_base;
struct sessions;
struct tls_ctx;

struct sessions_ops {
	/* A known host has introduced itself; m is valid during the call. */
	void (*on_hello)(void *arg, struct host *h, const struct wire_hello *m);
	/* A host's stream is open: what waits for it may be sent. */
	void (*on_connected)(void *arg, struct host *h);
	void (*on_disconnected)(void *arg, struct host *h);
	/* body is COMMAND_RESULT_SIZE bytes from the host. */
	void (*on_result)(void *arg, struct host *h, const uint8_t *body, size_t len);
};

struct sessions_stats {
	uint64_t accepted;
	uint64_t refused;   /* by us: unknown host, version, protocol */
	uint64_t failed;    /* TLS or network before the greeting */
	uint64_t slowed;    /* times that an agent sent faster than its rate */
	unsigned connected; /* streaming now */
};

int sessions_new(struct event_base *base, struct tls_ctx *tls, struct registry *registry,
		 struct store *store, struct ingest *ingest, const struct sessions_ops *ops,
		 void *arg, struct sessions **ret) must_use;
/* What each agent may send, in bytes a second, from now on; a burst is free (allowance.h). */
void sessions_limit(struct sessions *all, int64_t bytes_per_second);
/* So many milliseconds for each second of the deadlines, from now on; for tests. */
void sessions_hasten(struct sessions *all, unsigned second_ms);
/* Tells every agent to come back soon and closes in order; run the loop a little after it. */
void sessions_goodbye(struct sessions *all);
void sessions_free(struct sessions **all);
/* For listener_new(): arg is the struct sessions. */
void sessions_accept(void *arg, int fd, const struct admission *a);
/* Everything of that stream up to seq is stored. */
void sessions_ack(struct sessions *all, int32_t host_id, uint64_t epoch, uint64_t seq);
/* The store has room again. */
void sessions_resume(struct sessions *all);
/* -ENOTCONN when the host is not streaming. */
int sessions_send_command(struct sessions *all, int32_t host_id,
			  const struct command_request *request) must_use;
/* Closes the host's connection, if any, with a reason for it. */
void sessions_drop(struct sessions *all, int32_t host_id, enum wire_goaway_reason reason);
const struct sessions_stats *sessions_stats(const struct sessions *all);

#endif
