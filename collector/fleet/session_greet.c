/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection begins: the greeting, then the store's word on each of its streams. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "collector/fleet/session_inner.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"

/* An agent that is granted little falls silent soon after the database does, and rules see nothing
 * more: the queue of the store is what bounds memory. */
#define MAX_UNACKED_BYTES   (4 * 1024 * 1024)
#define MAX_UNACKED_BATCHES 65536 /* each event may be one: bytes are what counts */

/* Not the agent's fault: it may try again soon. */
static void postpone(struct session *s)
{
	session_go_away(s, WIRE_GOAWAY_BUSY, SHUTDOWN_RETRY_MIN_MS, SHUTDOWN_RETRY_MAX_MS,
			"the collector's database is not available");
}

static void replace_older(struct session *s)
{
	struct session *other;

	TAILQ_FOREACH (other, &s->all->list, link)
		if (other != s && other->host_id == s->host_id &&
		    !session_is(other, SESSION_CLOSING))
			session_go_away(other, WIRE_GOAWAY_DUPLICATE, REFUSED_RETRY_MIN_MS,
					REFUSED_RETRY_MAX_MS,
					"replaced by a newer connection of this host");
}

static void take_hello(struct session *s, struct host *h, const struct wire_hello *m)
{
	registry_describe_host(h, m);
	h->skew_us = m->t_wall_us - clock_wall_us();
	memcpy(h->clock.boot_id, m->boot_id, sizeof(h->clock.boot_id));
	h->clock.apart_us = clock_wall_us() - (int64_t)m->t_boot_us;
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
	if (session_send(s, FRAME_HELLO_ACK, &b) < 0)
		session_refuse(s, WIRE_GOAWAY_BUSY, "cannot answer the greeting");
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
	struct host *h = session_host(s);

	if (!h) {
		session_refuse(s, WIRE_GOAWAY_UNKNOWN_HOST, "this host was removed");
		return;
	}
	for (size_t i = 0; i < o->n; i++) {
		epochs[i] = (struct wire_epoch){.epoch = o->epochs[i].epoch,
						.seq_max = (uint64_t)last_seq[i]};
		note_lost(s, &o->epochs[i], epochs[i].seq_max);
		if (ingest_open(s->all->ingest, h, epochs[i].epoch, epochs[i].seq_max, conn) < 0) {
			session_refuse(s, WIRE_GOAWAY_BUSY, "the collector is out of memory");
			return;
		}
	}
	FAILPOINT("session.opened");
	session_enter(s, SESSION_STREAMING);
	s->all->stats.connected++;
	conn_max_payload(s->conn, FRAME_MAX_PAYLOAD);
	send_hello_ack(s, epochs, o->n);
	if (!session_is(s, SESSION_STREAMING))
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

	if (s && session_is(s, SESSION_OPENING)) {
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

	session_enter(s, SESSION_OPENING);
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

void session_greeting_frame(struct session *s, const struct frame *f)
{
	auto_arena struct arena arena;
	struct host *h = session_host(s);
	struct error err = {""};
	struct wire_hello m;

	arena_init(&arena, WIRE_BUDGET(f->len));
	if (f->type != FRAME_HELLO) {
		session_refuse(s, WIRE_GOAWAY_PROTOCOL, "expected a greeting");
	} else if (wire_unpack_hello(&arena, f->payload, f->len, &m, &err) < 0) {
		session_refuse(s, WIRE_GOAWAY_PROTOCOL, err.msg);
	} else if (m.proto_min > WIRE_PROTO || m.proto_max < WIRE_PROTO) {
		session_refuse(s, WIRE_GOAWAY_VERSION, "no common protocol version");
	} else if (h) {
		listener_greeted(&s->admission);
		replace_older(s);
		take_hello(s, h, &m);
		open_streams(s, &m);
	}
}

void session_opening_frame(struct session *s, const struct frame *f unused_arg)
{
	session_refuse(s, WIRE_GOAWAY_PROTOCOL, "spoke before the greeting was answered");
}
