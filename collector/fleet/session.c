/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/session.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <string.h>
#include <sys/queue.h>

#include "collector/fleet/allowance.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/str.h"
#include "proto/command.h"
#include "proto/conn.h"

#define SESSION_MAGIC 0x5e551071u
#define OUT_MAX       (256 * 1024)
/* An agent that is granted little falls silent soon after the database does, and rules see nothing
 * more: the queue of the store is what bounds memory. */
#define MAX_UNACKED_BYTES     (4 * 1024 * 1024)
#define MAX_UNACKED_BATCHES   65536        /* each event may be one: bytes are what counts */
#define AGENT_RATE            (256 * 1024) /* bytes a second, where nothing else is set */
#define SHUTDOWN_RETRY_MIN_MS 500
#define SHUTDOWN_RETRY_MAX_MS 5000
#define REFUSED_RETRY_MIN_MS  (60 * 1000)
#define REFUSED_RETRY_MAX_MS  (5 * 60 * 1000)
#define UNKNOWN_RETRY_MIN_MS  3000 /* it may have enrolled at another collector just now */
#define UNKNOWN_RETRY_MAX_MS  (60 * 1000)

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
	uint64_t ms = (uint64_t)s->state->deadline_sec * s->all->second_ms;
	const struct timeval tv = {.tv_sec = (time_t)(ms / 1000),
				   .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

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
	if (s->state == &state_streaming)
		s->all->stats.connected--;
	enter(s, &state_closing);
	conn_close(s->conn, text);
}

static void refuse(struct session *s, enum wire_goaway_reason reason, const char *text)
{
	bool unknown = reason == WIRE_GOAWAY_UNKNOWN_HOST;

	s->all->stats.refused++;
	log_warn("host=%d peer=%s refused reason=\"%s\"", s->host_id, conn_peer_name(s->conn),
		 text);
	go_away(s, reason, unknown ? UNKNOWN_RETRY_MIN_MS : REFUSED_RETRY_MIN_MS,
		unknown ? UNKNOWN_RETRY_MAX_MS : REFUSED_RETRY_MAX_MS, text);
}

/* Not the agent's fault: it may try again soon. */
static void postpone(struct session *s)
{
	go_away(s, WIRE_GOAWAY_BUSY, SHUTDOWN_RETRY_MIN_MS, SHUTDOWN_RETRY_MAX_MS,
		"the collector's database is not available");
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
	if (s->all->ops->on_hello)
		s->all->ops->on_hello(s->all->arg, h, m);
}

/* A question to the store; the session that asked may be gone when the answer comes. */
struct opening {
	struct sessions *all;
	uint64_t serial;
	size_t n;
	struct wire_epoch epochs[WIRE_MAX_EPOCHS]; /* as the agent told them */
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

static struct session *session_by_serial(struct sessions *all, uint64_t serial)
{
	struct session *s;

	TAILQ_FOREACH (s, &all->list, link)
		if (s->serial == serial)
			return s;
	return NULL;
}

/* What it was told is stored, and is not: said here and in agent_stream.lost; the agent's gap
 * follows. */
static void note_lost(const struct session *s, const struct wire_epoch *told, uint64_t last_seq)
{
	if (told->seq_min > last_seq + 1)
		log_error("host=%d stream=%016" PRIx64 " the database went back stored=%" PRIu64
			  " acknowledged=%" PRIu64,
			  s->host_id, told->epoch, last_seq, told->seq_min - 1);
}

static void start_streaming(struct session *s, const struct opening *o, int64_t conn,
			    const int64_t *last_seq)
{
	struct wire_epoch epochs[WIRE_MAX_EPOCHS];
	struct host *h = host_of(s);

	if (!h) {
		refuse(s, WIRE_GOAWAY_UNKNOWN_HOST, "this host was removed");
		return;
	}
	for (size_t i = 0; i < o->n; i++) {
		epochs[i] = (struct wire_epoch){.epoch = o->epochs[i].epoch,
						.seq_max = (uint64_t)last_seq[i]};
		note_lost(s, &o->epochs[i], epochs[i].seq_max);
		if (ingest_open(s->all->ingest, h, epochs[i].epoch, epochs[i].seq_max, conn) < 0) {
			refuse(s, WIRE_GOAWAY_BUSY, "the collector is out of memory");
			return;
		}
	}
	FAILPOINT("session.opened");
	enter(s, &state_streaming);
	s->all->stats.connected++;
	conn_max_payload(s->conn, FRAME_MAX_PAYLOAD);
	send_hello_ack(s, epochs, o->n);
	if (s->state != &state_streaming)
		return;
	h->connected = true;
	log_info("host=%d connected name=\"%s\" peer=%s", h->host_id, h->name,
		 conn_peer_name(s->conn));
	if (s->all->ops->on_connected)
		s->all->ops->on_connected(s->all->arg, h);
}

static void on_opened(void *arg, int rc, int64_t conn, const int64_t *last_seq, size_t n,
		      const struct error *err)
{
	struct opening *o = arg;
	struct session *s = session_by_serial(o->all, o->serial);

	if (s && s->state == &state_opening) {
		if (rc == 0 && n == o->n) {
			start_streaming(s, o, conn, last_seq);
		} else {
			log_warn("host=%d cannot open its streams error=\"%s\"", s->host_id,
				 err ? err->msg : "");
			postpone(s);
		}
	}
	free(o);
}

static void open_streams(struct session *s, const struct wire_hello *m)
{
	struct opening *o = malloc(sizeof(*o));

	enter(s, &state_opening);
	if (!o) {
		postpone(s);
		return;
	}
	*o = (struct opening){.all = s->all, .serial = s->serial, .n = m->n_epochs};
	for (size_t i = 0; i < m->n_epochs; i++)
		o->epochs[i] = m->epochs[i];
	if (store_stream_open(s->all->store, s->host_id, o->epochs, o->n, on_opened, o) < 0) {
		free(o);
		postpone(s);
	}
}

static void greeting_frame(struct session *s, const struct frame *f)
{
	auto_arena struct arena arena;
	struct host *h = host_of(s);
	struct error err = {""};
	struct wire_hello m;

	arena_init(&arena, WIRE_BUDGET(f->len));
	if (f->type != FRAME_HELLO) {
		refuse(s, WIRE_GOAWAY_PROTOCOL, "expected a greeting");
	} else if (wire_unpack_hello(&arena, f->payload, f->len, &m, &err) < 0) {
		refuse(s, WIRE_GOAWAY_PROTOCOL, err.msg);
	} else if (m.proto_min > WIRE_PROTO || m.proto_max < WIRE_PROTO) {
		refuse(s, WIRE_GOAWAY_VERSION, "no common protocol version");
	} else if (h) {
		listener_greeted(&s->admission);
		replace_older(s);
		take_hello(s, h, &m);
		open_streams(s, &m);
	}
}

static void opening_frame(struct session *s, const struct frame *f unused_arg)
{
	refuse(s, WIRE_GOAWAY_PROTOCOL, "spoke before the greeting was answered");
}

static void closing_frame(struct session *s unused_arg, const struct frame *f unused_arg)
{
}

/* Keeps the batch that had no room and stops reading: TCP then holds the agent back. */
static void hold(struct session *s, const struct frame *f)
{
	s->held = malloc(f->len);
	if (!s->held) {
		go_away(s, WIRE_GOAWAY_BUSY, SHUTDOWN_RETRY_MIN_MS, SHUTDOWN_RETRY_MAX_MS,
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
	if (s->state != &state_closing)
		read_on(s);
}

/* What comes faster than its allowance is left in the socket for as long. */
static void charge(struct session *s, size_t len)
{
	int64_t wait = allowance_take(&s->allowance, s->all->agent_rate, len, clock_boot_us());
	const struct timeval tv = {.tv_sec = wait / USEC_PER_SEC, .tv_usec = wait % USEC_PER_SEC};

	if (wait == 0 || s->state == &state_closing)
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
		refuse(s, WIRE_GOAWAY_PROTOCOL, err.msg);
}

static void take_heartbeat(struct session *s, struct host *h, const struct frame *f)
{
	auto_arena struct arena arena;
	auto_buf struct buf b = BUF_INIT(FRAME_MAX_GREETING);
	struct wire_heartbeat m;
	struct error err = {""};

	arena_init(&arena, WIRE_BUDGET(f->len));
	if (wire_unpack_heartbeat(&arena, f->payload, f->len, &m, &err) < 0) {
		refuse(s, WIRE_GOAWAY_PROTOCOL, err.msg);
		return;
	}
	h->agent_rss_bytes = m.rss_bytes;
	h->agent_cpu_us = m.cpu_us;
	h->act = m.act;
	if (m.leaving)
		store_hurry(s->all->store, s->host_id);
	m = (struct wire_heartbeat){.t_wall_us = clock_wall_us()};
	wire_pack_heartbeat(&b, &m);
	if (send_frame(s, FRAME_HEARTBEAT, &b) < 0)
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
		refuse(s, WIRE_GOAWAY_PROTOCOL, err.msg);
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
	struct host *h = host_of(s);

	if (!h) {
		refuse(s, WIRE_GOAWAY_UNKNOWN_HOST, "this host was removed");
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
		refuse(s, WIRE_GOAWAY_PROTOCOL, "a frame that only the collector sends");
}

static void on_open(void *arg, struct conn *c)
{
	struct session *s = arg;
	uint8_t uuid[16];
	struct host *h;

	MAGIC_CHECK(s, SESSION_MAGIC);
	h = conn_peer_host(c, uuid) < 0 ? NULL : registry_find_host_uuid(s->all->registry, uuid);
	if (!h) {
		refuse(s, WIRE_GOAWAY_UNKNOWN_HOST, "this certificate names no enrolled host");
		return;
	}
	s->host_id = h->host_id;
	enter(s, &state_greeting);
}

static void on_frame(void *arg, struct conn *c unused_arg, const struct frame *f)
{
	struct session *s = arg;

	MAGIC_CHECK(s, SESSION_MAGIC);
	s->state->on_frame(s, f);
}

static void session_free(struct session *s)
{
	TAILQ_REMOVE(&s->all->list, s, link);
	event_free(s->deadline);
	event_free(s->slow);
	free(s->held);
	free(s);
}

static void on_close(void *arg, struct conn *c, const char *why)
{
	struct session *s = arg;
	struct host *h;

	MAGIC_CHECK(s, SESSION_MAGIC);
	listener_closed(&s->admission);
	h = host_of(s);
	if (!h) {
		s->all->stats.failed++;
		log_info("peer=%s connection ended why=\"%s\"", conn_peer_name(c), why);
	} else {
		log_info("host=%d disconnected name=\"%s\" why=\"%s\"", h->host_id, h->name, why);
	}
	if (s->state == &state_streaming)
		s->all->stats.connected--;
	s->state = &state_closing;
	if (h)
		store_hurry(s->all->store, s->host_id);
	if (h && !streaming_of(s->all, s->host_id)) {
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

static const struct conn_ops session_ops = {.on_open = on_open,
					    .on_frame = on_frame,
					    .on_close = on_close};

static struct session *session_new(struct sessions *all, const struct admission *a)
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
	s->state = &state_greeting;
	TAILQ_INSERT_TAIL(&all->list, s, link);
	return s;
}

void sessions_accept(void *arg, int fd, const struct admission *a)
{
	struct sessions *all = arg;
	struct admission admission = *a;
	struct session *s = session_new(all, a);
	struct error err = {""};

	if (!s) {
		close(fd);
		listener_closed(&admission);
		return;
	}
	all->stats.accepted++;
	if (conn_accept(all->base, all->tls, fd, OUT_MAX, &session_ops, s, &s->conn, &err) < 0) {
		log_warn("a connection could not be taken error=\"%s\"", err.msg);
		listener_closed(&s->admission);
		session_free(s);
		return;
	}
	conn_max_payload(s->conn, FRAME_MAX_GREETING);
}

int sessions_new(struct event_base *base, struct tls_ctx *tls, struct registry *registry,
		 struct store *store, struct ingest *ingest, const struct sessions_ops *ops,
		 void *arg, struct sessions **ret)
{
	struct sessions *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->base = base;
	all->tls = tls;
	all->registry = registry;
	all->store = store;
	all->ingest = ingest;
	all->ops = ops;
	all->arg = arg;
	all->second_ms = 1000;
	all->agent_rate = AGENT_RATE;
	TAILQ_INIT(&all->list);
	*ret = all;
	return 0;
}

void sessions_limit(struct sessions *all, int64_t bytes_per_second)
{
	all->agent_rate = bytes_per_second;
}

void sessions_hasten(struct sessions *all, unsigned second_ms)
{
	all->second_ms = second_ms;
}

void sessions_free(struct sessions **all)
{
	struct session *s;

	if (!*all)
		return;
	while ((s = TAILQ_FIRST(&(*all)->list))) {
		conn_free(&s->conn);
		session_free(s);
	}
	free(*all);
	*all = NULL;
}

void sessions_goodbye(struct sessions *all)
{
	struct session *s;

	TAILQ_FOREACH (s, &all->list, link)
		go_away(s, WIRE_GOAWAY_SHUTDOWN, SHUTDOWN_RETRY_MIN_MS, SHUTDOWN_RETRY_MAX_MS,
			"the collector stops");
}

void sessions_ack(struct sessions *all, int32_t host_id, uint64_t epoch, uint64_t seq)
{
	struct session *s = streaming_of(all, host_id);
	auto_buf struct buf b = BUF_INIT(64);

	if (!s)
		return;
	wire_pack_ack(&b, &(struct wire_ack){.epoch = epoch, .seq = seq});
	if (send_frame(s, FRAME_ACK, &b) < 0)
		go_away(s, WIRE_GOAWAY_BUSY, SHUTDOWN_RETRY_MIN_MS, SHUTDOWN_RETRY_MAX_MS,
			"the agent does not read");
}

static void resume(struct session *s)
{
	const struct frame f = {.type = FRAME_BATCH, .payload = s->held, .len = s->held_len};
	uint8_t *held = s->held;

	s->held = NULL;
	s->paused = false;
	if (s->state == &state_streaming)
		streaming_frame(s, &f);
	free(held);
	read_on(s);
}

void sessions_resume(struct sessions *all)
{
	struct session *s;
	struct session *next;

	for (s = TAILQ_FIRST(&all->list); s; s = next) {
		next = TAILQ_NEXT(s, link);
		if (s->paused)
			resume(s);
	}
}

int sessions_send_command(struct sessions *all, int32_t host_id,
			  const struct command_request *request)
{
	struct session *s = streaming_of(all, host_id);
	auto_buf struct buf b = BUF_INIT(FRAME_MAX_GREETING);
	struct wire_command m = {
		.body = {request->body, sizeof(request->body)},
		.signature = {request->signature, sizeof(request->signature)},
	};

	if (!s)
		return -ENOTCONN;
	if (request->has_warrant)
		m.warrant = (struct wire_blob){(const uint8_t *)&request->warrant,
					       sizeof(request->warrant)};
	wire_pack_command(&b, &m);
	return send_frame(s, FRAME_COMMAND, &b);
}

void sessions_drop(struct sessions *all, int32_t host_id, enum wire_goaway_reason reason)
{
	struct session *s = streaming_of(all, host_id);

	if (s)
		go_away(s, reason, REFUSED_RETRY_MIN_MS, REFUSED_RETRY_MAX_MS,
			"dropped by an operator");
}

const struct sessions_stats *sessions_stats(const struct sessions *all)
{
	return &all->stats;
}
