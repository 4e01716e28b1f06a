/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_inner.h - the state of agents' connections, shared by session.c (one of them, streaming),
 * session_greet.c (its beginning) and sessions.c (all of them); nobody else includes it.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_SESSION_INNER_H
#define MEMHERD_COLLECTOR_FLEET_SESSION_INNER_H

#include <sys/queue.h>

#include "collector/fleet/allowance.h"
#include "collector/fleet/session.h"
#include "proto/conn.h"

#define SESSION_MAGIC 0x5e551071u
/* How soon one comes back that the collector cannot serve just now, and one that it refused. */
#define SHUTDOWN_RETRY_MIN_MS 500
#define SHUTDOWN_RETRY_MAX_MS 5000
#define REFUSED_RETRY_MIN_MS  (60 * 1000)
#define REFUSED_RETRY_MAX_MS  (5 * 60 * 1000)

struct session;

/* A state: how long it may last, what a frame does in it. */
struct session_state {
	const char *name;
	unsigned deadline_sec;
	void (*on_frame)(struct session *s, const struct frame *f);
};

struct session {
	unsigned magic;
	struct sessions *all;
	struct conn *conn;
	struct admission admission;
	const struct session_state *state;
	struct event *deadline;
	uint64_t serial; /* names the session to what answers later */
	int32_t host_id; /* 0 until the certificate named one */
	bool slowed;     /* its allowance is used up */
	struct allowance allowance;
	struct event *slow;
	bool paused;
	uint8_t *held; /* a batch that the store had no room for */
	size_t held_len;
	TAILQ_ENTRY(session) link;
};

struct sessions {
	struct event_base *base;
	struct tls_ctx *tls;
	struct registry *registry;
	struct store *store;
	struct ingest *ingest;
	const struct sessions_ops *ops;
	void *arg;
	uint64_t next_serial;
	unsigned second_ms; /* a second of the deadlines */
	int64_t agent_rate; /* bytes a second */
	struct sessions_stats stats;
	TAILQ_HEAD(, session) list;
};

enum { SESSION_GREETING, SESSION_OPENING, SESSION_STREAMING, SESSION_CLOSING, SESSION_STATES };
extern const struct session_state session_states[SESSION_STATES];

/* NULL without memory. */
struct session *session_new(struct sessions *all, const struct admission *a);
void session_free(struct session *s);
extern const struct conn_ops session_ops;

static inline bool session_is(const struct session *s, int state)
{
	return s->state == &session_states[state];
}

void session_enter(struct session *s, int state);
/* NULL before its certificate named one, and when that one was removed. */
struct host *session_host(struct session *s);
int session_send(struct session *s, enum frame_type type, const struct buf *b) must_use;
/* Tells the agent why and when to come back, and closes. */
void session_go_away(struct session *s, enum wire_goaway_reason reason, uint32_t min_ms,
		     uint32_t max_ms, const char *text);
/* The agent's fault: it goes away for longer. */
void session_refuse(struct session *s, enum wire_goaway_reason reason, const char *text);
/* The store has room again: the batch that is held goes to it, and reading goes on. */
void session_resume(struct session *s);

/* What an agent says before it streams. */
void session_greeting_frame(struct session *s, const struct frame *f);
void session_opening_frame(struct session *s, const struct frame *f);

/* The host's connection that streams; NULL. */
struct session *sessions_streaming(struct sessions *all, int32_t host_id);

#endif
