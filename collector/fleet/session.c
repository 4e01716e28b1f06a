/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/session.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <string.h>
#include <sys/queue.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"
#include "proto/conn.h"

#define SESSION_MAGIC         0x5e551071u
#define OUT_MAX               (256 * 1024)
#define MAX_UNACKED_BYTES     (512 * 1024)
#define MAX_UNACKED_BATCHES   4
#define SHUTDOWN_RETRY_MIN_MS 500
#define SHUTDOWN_RETRY_MAX_MS 5000
#define REFUSED_RETRY_MIN_MS  (60 * 1000)
#define REFUSED_RETRY_MAX_MS  (5 * 60 * 1000)

struct session;

/* A state: how it is entered, how long it may last, what a frame does in it. */
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
	int32_t host_id; /* 0 until the certificate named one */
	int64_t conn_no; /* the fence that the store gave */
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
	struct sessions_stats stats;
	TAILQ_HEAD(, session) list;
};

static void greeting_frame(struct session *s, const struct frame *f);
static void opening_frame(struct session *s, const struct frame *f);
static void streaming_frame(struct session *s, const struct frame *f);
static void closing_frame(struct session *s, const struct frame *f);

static const struct session_state state_greeting = {"greeting", SESSION_HELLO_SEC, greeting_frame};
static const struct session_state state_opening = {"opening", SESSION_OPEN_SEC, opening_frame};
static const struct session_state state_streaming = {"streaming", SESSION_DEAD_SEC,
						     streaming_frame};
static const struct session_state state_closing = {"closing", CONN_HANDSHAKE_SEC, closing_frame};

static void rearm(struct session *s)
{
	const struct timeval tv = {.tv_sec = s->state->deadline_sec};

	event_add(s->deadline, &tv);
}

static void enter(struct session *s, const struct session_state *state)
{
	s->state = state;
	rearm(s);
}

static struct host *host_of(struct session *s)
{
	return s->host_id ? registry_find_host(s->all->registry, s->host_id) : NULL;
}

static int send_frame(struct session *s, enum frame_type type, const struct buf *b)
{
	int rc = buf_status(b);

	return rc < 0 ? rc : conn_send(s->conn, type, b->data, b->len);
}

static void go_away(struct session *s, enum wire_goaway_reason reason, uint32_t min_ms,
		    uint32_t max_ms, const char *text)
{
	const struct wire_goaway g = {.reason = reason,
				      .retry_min_ms = min_ms,
				      .retry_max_ms = max_ms,
				      .text = text};
	auto_buf struct buf b = BUF_INIT(FRAME_MAX_GREETING);

	if (s->state == &state_closing)
		return;
	wire_pack_goaway(&b, &g);
	/* A peer that cannot be told is closed all the same. */
	if (send_frame(s, FRAME_GO_AWAY, &b) < 0)
		log_debug("host=%d could not be told to go away", s->host_id);
	enter(s, &state_closing);
	conn_close(s->conn, text);
}

static void refuse(struct session *s, enum wire_goaway_reason reason, const char *text)
{
	s->all->stats.refused++;
	log_warn("host=%d peer=%s refused reason=\"%s\"", s->host_id, conn_peer_name(s->conn),
		 text);
	go_away(s, reason, REFUSED_RETRY_MIN_MS, REFUSED_RETRY_MAX_MS, text);
}

static struct session *streaming_of(struct sessions *all, int32_t host_id)
{
	struct session *s;

	TAILQ_FOREACH (s, &all->list, link)
		if (s->host_id == host_id && s->state == &state_streaming)
			return s;
	return NULL;
}

static void replace_older(struct session *s)
{
	struct session *other;

	TAILQ_FOREACH (other, &s->all->list, link)
		if (other != s && other->host_id == s->host_id && other->state != &state_closing)
			go_away(other, WIRE_GOAWAY_DUPLICATE, REFUSED_RETRY_MIN_MS,
				REFUSED_RETRY_MAX_MS,
				"replaced by a newer connection of this host");
}

static void take_hello(struct session *s, struct host *h, const struct wire_hello *m)
{
	registry_describe_host(h, m);
	h->skew_us = m->t_wall_us - clock_wall_us();
	h->last_seen_us = clock_wall_us();
	store_host_seen(s->all->store, h->host_id, m);
}

struct opening {
	struct sessions *all;
	int32_t host_id;
	int64_t serial; /* of the session that asked: it may be gone by now */
	size_t n;
	uint64_t epochs[WIRE_MAX_EPOCHS];
};

static void send_hello_ack(struct session *s, const struct wire_epoch *epochs, size_t n)
{
	const struct wire_hello_ack m = {
		.proto = WIRE_PROTO,
		.t_wall_us = clock_wall_us(),
		.heartbeat_ms = SESSION_HEARTBEAT_MS,
		.max_frame = FRAME_MAX_PAYLOAD,
		.max_unacked_bytes = MAX_UNACKED_BYTES,
		.max_unacked_batches = MAX_UNACKED_BATCHES,
		.epochs = (struct wire_epoch *)epochs,
		.n_epochs = n,
	};
	auto_buf struct buf b = BUF_INIT(FRAME_MAX_GREETING);

	wire_pack_hello_ack(&b, &m);
	if (send_frame(s, FRAME_HELLO_ACK, &b) < 0)
		refuse(s, WIRE_GOAWAY_BUSY, "cannot answer the greeting");
}
