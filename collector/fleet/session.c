/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/session.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "collector/fleet/session_inner.h"
#include "common/clock.h"
#include "common/log.h"

#define UNKNOWN_RETRY_MIN_MS 3000 /* it may have enrolled at another collector just now */
#define UNKNOWN_RETRY_MAX_MS (60 * 1000)

static void streaming_frame(struct session *s, const struct frame *f);
static void closing_frame(struct session *s, const struct frame *f);

const struct session_state session_states[SESSION_STATES] = {
	[SESSION_GREETING] = {"greeting", SESSION_HELLO_SEC, session_greeting_frame},
	[SESSION_OPENING] = {"opening", SESSION_OPEN_SEC, session_opening_frame},
	[SESSION_STREAMING] = {"streaming", SESSION_DEAD_SEC, streaming_frame},
	[SESSION_CLOSING] = {"closing", CONN_HANDSHAKE_SEC, closing_frame},
};

static void rearm(struct session *s)
{
	uint64_t ms = (uint64_t)s->state->deadline_sec * s->all->second_ms;
	const struct timeval tv = {.tv_sec = (time_t)(ms / 1000),
				   .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	event_add(s->deadline, &tv);
}

void session_enter(struct session *s, int state)
{
	s->state = &session_states[state];
	rearm(s);
}

struct host *session_host(struct session *s)
{
	return s->host_id ? registry_find_host(s->all->registry, s->host_id) : NULL;
}

int session_send(struct session *s, enum frame_type type, const struct buf *b)
{
	int rc = buf_status(b);

	return rc < 0 ? rc : conn_send(s->conn, type, b->data, b->len);
}

void session_go_away(struct session *s, enum wire_goaway_reason reason, uint32_t min_ms,
		     uint32_t max_ms, const char *text)
{
	const struct wire_goaway g = {.reason = reason,
				      .retry_min_ms = min_ms,
				      .retry_max_ms = max_ms,
				      .text = text};
	auto_buf struct buf b = BUF_INIT(FRAME_MAX_GREETING);

	if (session_is(s, SESSION_CLOSING))
		return;
	wire_pack_goaway(&b, &g);
	/* A peer that cannot be told is closed all the same. */
	if (session_send(s, FRAME_GO_AWAY, &b) < 0)
		log_debug("host=%d could not be told to go away", s->host_id);
	if (session_is(s, SESSION_STREAMING))
		s->all->stats.connected--;
	session_enter(s, SESSION_CLOSING);
	conn_close(s->conn, text);
}

void session_refuse(struct session *s, enum wire_goaway_reason reason, const char *text)
{
	bool unknown = reason == WIRE_GOAWAY_UNKNOWN_HOST;

	s->all->stats.refused++;
	log_warn("host=%d peer=%s refused reason=\"%s\"", s->host_id, conn_peer_name(s->conn),
		 text);
	session_go_away(s, reason, unknown ? UNKNOWN_RETRY_MIN_MS : REFUSED_RETRY_MIN_MS,
			unknown ? UNKNOWN_RETRY_MAX_MS : REFUSED_RETRY_MAX_MS, text);
}

static void closing_frame(struct session *s unused_arg, const struct frame *f unused_arg)
{
}

/* Keeps the batch that had no room and stops reading: TCP then holds the agent back. */
static void hold(struct session *s, const struct frame *f)
{
	s->held = malloc(f->len);
	if (!s->held) {
		session_go_away(s, WIRE_GOAWAY_BUSY, SHUTDOWN_RETRY_MIN_MS, SHUTDOWN_RETRY_MAX_MS,
				"the collector is out of memory");
		return;
	}
	memcpy(s->held, f->payload, f->len);
	s->held_len = f->len;
	s->paused = true;
	conn_pause(s->conn, true);
}

static void read_on(struct session *s)
{
	if (!s->paused && !s->slowed)
		conn_pause(s->conn, false);
}

static void on_slow(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct session *s = arg;

	MAGIC_CHECK(s, SESSION_MAGIC);
	s->slowed = false;
	if (!session_is(s, SESSION_CLOSING))
		read_on(s);
}

/* What comes faster than its allowance is left in the socket for as long. */
static void charge(struct session *s, size_t len)
{
	int64_t wait = allowance_take(&s->allowance, s->all->agent_rate, len, clock_boot_us());
	const struct timeval tv = {.tv_sec = wait / USEC_PER_SEC, .tv_usec = wait % USEC_PER_SEC};

	if (wait == 0 || session_is(s, SESSION_CLOSING))
		return;
	s->slowed = true;
	s->all->stats.slowed++;
	conn_pause(s->conn, true);
	event_add(s->slow, &tv);
}

static void take_batch(struct session *s, struct host *h, const struct frame *f)
{
	struct error err = {""};
	int rc = ingest_batch(s->all->ingest, h, f->payload, f->len, &err);

	if (rc == -ENOBUFS)
		hold(s, f);
	else if (rc == 0)
		charge(s, f->len);
	else if (rc < 0)
		session_refuse(s, WIRE_GOAWAY_PROTOCOL, err.msg);
}

static void take_heartbeat(struct session *s, struct host *h, const struct frame *f)
{
	auto_arena struct arena arena;
	auto_buf struct buf b = BUF_INIT(FRAME_MAX_GREETING);
	struct wire_heartbeat m;
	struct error err = {""};

	arena_init(&arena, WIRE_BUDGET(f->len));
	if (wire_unpack_heartbeat(&arena, f->payload, f->len, &m, &err) < 0) {
		session_refuse(s, WIRE_GOAWAY_PROTOCOL, err.msg);
		return;
	}
	h->agent_rss_bytes = m.rss_bytes;
	h->agent_cpu_us = m.cpu_us;
	h->act = m.act;
	if (m.leaving)
		store_hurry(s->all->store, s->host_id);
	m = (struct wire_heartbeat){.t_wall_us = clock_wall_us()};
	wire_pack_heartbeat(&b, &m);
	if (session_send(s, FRAME_HEARTBEAT, &b) < 0)
		log_debug("host=%d heartbeat not sent", s->host_id);
}

static void take_result(struct session *s, struct host *h, const struct frame *f)
{
	auto_arena struct arena arena;
	struct wire_command_result m;
	uint8_t whole[COMMAND_RESULT_SIZE];
	struct error err = {""};

	arena_init(&arena, WIRE_BUDGET(f->len));
	if (wire_unpack_command_result(&arena, f->payload, f->len, &m, &err) < 0) {
		session_refuse(s, WIRE_GOAWAY_PROTOCOL, err.msg);
		return;
	}
	if (m.body.len == sizeof(whole) && m.journal.len == COMMAND_SPAN_SIZE) {
		memcpy(whole, m.body.data, sizeof(whole));
		command_result_join(whole, m.journal.data);
		m.body.data = whole;
	}
	if (s->all->ops->on_result)
		s->all->ops->on_result(s->all->arg, h, m.body.data, m.body.len);
}

static void streaming_frame(struct session *s, const struct frame *f)
{
	struct host *h = session_host(s);

	if (!h) {
		session_refuse(s, WIRE_GOAWAY_UNKNOWN_HOST, "this host was removed");
		return;
	}
	h->last_seen_us = clock_wall_us();
	rearm(s);
	if (f->type == FRAME_BATCH)
		take_batch(s, h, f);
	else if (f->type == FRAME_HEARTBEAT)
		take_heartbeat(s, h, f);
	else if (f->type == FRAME_COMMAND_RESULT)
		take_result(s, h, f);
	else
		session_refuse(s, WIRE_GOAWAY_PROTOCOL, "a frame that only the collector sends");
}

static void on_open(void *arg, struct conn *c)
{
	struct session *s = arg;
	uint8_t uuid[16];
	struct host *h;

	MAGIC_CHECK(s, SESSION_MAGIC);
	h = conn_peer_host(c, uuid) < 0 ? NULL : registry_find_host_uuid(s->all->registry, uuid);
	if (!h) {
		session_refuse(s, WIRE_GOAWAY_UNKNOWN_HOST,
			       "this certificate names no enrolled host");
		return;
	}
	s->host_id = h->host_id;
	session_enter(s, SESSION_GREETING);
}

static void on_frame(void *arg, struct conn *c unused_arg, const struct frame *f)
{
	struct session *s = arg;

	MAGIC_CHECK(s, SESSION_MAGIC);
	s->state->on_frame(s, f);
}

void session_resume(struct session *s)
{
	const struct frame f = {.type = FRAME_BATCH, .payload = s->held, .len = s->held_len};
	uint8_t *held = s->held;

	s->held = NULL;
	s->paused = false;
	if (session_is(s, SESSION_STREAMING))
		streaming_frame(s, &f);
	free(held);
	read_on(s);
}

static void on_close(void *arg, struct conn *c, const char *why)
{
	struct session *s = arg;
	struct host *h;

	MAGIC_CHECK(s, SESSION_MAGIC);
	listener_closed(&s->admission);
	h = session_host(s);
	if (!h) {
		s->all->stats.failed++;
		log_info("peer=%s connection ended why=\"%s\"", conn_peer_name(c), why);
	} else {
		log_info("host=%d disconnected name=\"%s\" why=\"%s\"", h->host_id, h->name, why);
	}
	if (session_is(s, SESSION_STREAMING))
		s->all->stats.connected--;
	s->state = &session_states[SESSION_CLOSING];
	if (h)
		store_hurry(s->all->store, s->host_id);
	if (h && !sessions_streaming(s->all, s->host_id)) {
		h->connected = false;
		if (s->all->ops->on_disconnected)
			s->all->ops->on_disconnected(s->all->arg, h);
	}
	session_free(s);
}

static void on_deadline(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct session *s = arg;

	MAGIC_CHECK(s, SESSION_MAGIC);
	/* While reading is paused the silence is of our own making. */
	if (s->paused || s->slowed) {
		rearm(s);
		return;
	}
	log_info("host=%d silent state=%s seconds=%u", s->host_id, s->state->name,
		 s->state->deadline_sec);
	conn_close(s->conn, "silent for too long");
}

const struct conn_ops session_ops = {.on_open = on_open,
				     .on_frame = on_frame,
				     .on_close = on_close};

struct session *session_new(struct sessions *all, const struct admission *a)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->deadline = evtimer_new(all->base, on_deadline, s);
	s->slow = evtimer_new(all->base, on_slow, s);
	if (!s->deadline || !s->slow) {
		if (s->deadline)
			event_free(s->deadline);
		if (s->slow)
			event_free(s->slow);
		free(s);
		return NULL;
	}
	s->magic = SESSION_MAGIC;
	s->all = all;
	s->serial = ++all->next_serial;
	s->admission = *a;
	allowance_init(&s->allowance, clock_boot_us());
	s->state = &session_states[SESSION_GREETING];
	TAILQ_INSERT_TAIL(&all->list, s, link);
	return s;
}

void session_free(struct session *s)
{
	TAILQ_REMOVE(&s->all->list, s, link);
	event_free(s->deadline);
	event_free(s->slow);
	free(s->held);
	free(s);
}
