/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/link.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "agent/link/credentials.h"
#include "agent/link/diary.h"
#include "agent/link/disk.h"
#include "agent/link/greeting.h"
#include "agent/link/intake.h"
#include "agent/link/lane.h"
#include "agent/link/notice.h"
#include "agent/link/relay.h"
#include "agent/link/retry.h"
#include "agent/link/window.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/sign.h"
#include "common/tls.h"
#include "proto/conn.h"

#define MAGIC            0x6c696e6bU
#define FRAME_BYTES      (FRAME_MAX_PAYLOAD + FRAME_HEADER_SIZE)
#define OUT_MAX          (6 * FRAME_BYTES)
#define GREETING_US      (15 * USEC_PER_SEC)
#define CONNECTING_US    ((CONN_HANDSHAKE_SEC + 5) * USEC_PER_SEC)
#define CLOSING_US       ((CONN_HANDSHAKE_SEC + 5) * USEC_PER_SEC)
#define HEALTHY_US       (60 * USEC_PER_SEC)
#define KEYFRAME_WAIT_US (2 * USEC_PER_SEC) /* between two wishes: sense may be in mid-round */
#define MISSED_MAX       3                  /* heartbeats without a word from the collector */

struct link_state;

struct link {
	uint32_t magic;
	struct event_base *base;
	const struct agent_options *options;
	struct link_start start;
	uint64_t id; /* in logs: the epoch of its samples */
	const struct link_state *state;
	struct event *deadline;
	struct retry retry;
	unsigned which; /* of the listed collectors: the next one when this one failed */

	struct conn *conn;
	struct tls_ctx *tls;
	struct window window;
	uint32_t heartbeat_ms;
	unsigned missed;
	int64_t streaming_since_us;

	struct lanes lanes;
	struct disk *disk; /* NULL = the options want none */
	struct intake *intake;
	bool intake_ended;
	struct record_self sense_self;
	int64_t keyframe_asked_us;

	struct relay *relay;
	struct diary *diary;
	uint8_t results[RELAY_QUEUE][COMMAND_RESULT_SIZE]; /* that could not be sent yet */
	size_t n_results;

	bool stopping;
	bool said_leaving; /* on this connection */
	struct event *stop_limit;
};

/* A state: what to do on entering, how long it may last, what then. */
struct link_state {
	const char *name;
	void (*enter)(struct link *l);
	int64_t (*limit_us)(struct link *l);
	void (*on_deadline)(struct link *l);
};

static const struct link_state waiting;
static const struct link_state connecting;
static const struct link_state greeting;
static const struct link_state streaming;
static const struct link_state closing;

static void arm(struct event *e, int64_t us)
{
	const struct timeval tv = {.tv_sec = us / USEC_PER_SEC, .tv_usec = us % USEC_PER_SEC};

	event_add(e, &tv);
}

/* The one place where the state changes. */
static void go(struct link *l, const struct link_state *to)
{
	log_debug("link=%016" PRIx64 " state=%s from=%s", l->id, to->name,
		  l->state ? l->state->name : "none");
	if (l->state == &streaming)
		disk_streaming(l->disk, false);
	l->state = to;
	arm(l->deadline, to->limit_us(l));
	if (to->enter)
		to->enter(l);
}

static void on_deadline(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct link *l = arg;

	MAGIC_CHECK(l, MAGIC);
	l->state->on_deadline(l);
}

/* Ends the connection for a reason that is ours. */
static void hang_up(struct link *l, const char *why)
{
	if (l->state == &closing || !l->conn)
		return;
	go(l, &closing);
	conn_close(l->conn, why);
}

static void want_keyframe(struct link *l)
{
	int64_t now = clock_boot_us();

	if (!l->intake || (l->keyframe_asked_us && now - l->keyframe_asked_us < KEYFRAME_WAIT_US))
		return;
	l->keyframe_asked_us = now;
	intake_want_keyframe(l->intake);
}

static bool drained(const struct link *l)
{
	return lanes_drained(&l->lanes) && l->n_results == 0;
}

/* ---- going up: results, heartbeats, batches ---- */

static int send_frame(struct link *l, enum frame_type type, const struct buf *b)
{
	int rc = buf_status(b);

	if (rc == 0)
		rc = conn_send(l->conn, type, b->data, b->len);
	if (rc < 0)
		log_warn("link=%016" PRIx64 " cannot send frame=%s error='%s'", l->id,
			 frame_name(type), strerror(-rc));
	return rc;
}

static void send_results(struct link *l)
{
	while (l->n_results) {
		auto_buf struct buf b = BUF_INIT(FRAME_MAX_PAYLOAD);
		uint8_t body[COMMAND_RESULT_SIZE], journal[COMMAND_SPAN_SIZE];
		struct wire_command_result m = {.body = {.data = body, .len = sizeof(body)}};

		memcpy(body, l->results[0], sizeof(body));
		if (command_result_split(body, journal))
			m.journal = (struct wire_blob){.data = journal, .len = sizeof(journal)};
		wire_pack_command_result(&b, &m);
		if (send_frame(l, FRAME_COMMAND_RESULT, &b) < 0)
			return;
		l->n_results--;
		memmove(l->results[0], l->results[1], l->n_results * COMMAND_RESULT_SIZE);
	}
}

/* Samples fill half of the output and one frame: behind them there is always place for an urgent
 * batch, and behind that for heartbeats and results. */
static bool output_has_room(const struct link *l)
{
	size_t unsent = conn_unsent(l->conn);

	return lanes_next(&l->lanes) == LANE_URGENT ? unsent <= OUT_MAX - 2 * FRAME_BYTES
						    : unsent < OUT_MAX / 2;
}

static void send_batches(struct link *l)
{
	while (l->state == &streaming && output_has_room(l)) {
		auto_buf struct buf b = BUF_INIT(FRAME_MAX_PAYLOAD);
		int n = window_fill(&l->window, &l->lanes, &b);

		if (n == 0)
			return;
		FAILPOINT("link.send");
		/* What was taken from the spool counts as sent: only a new session sends it again.
		 */
		if (n < 0 || send_frame(l, FRAME_BATCH, &b) < 0) {
			hang_up(l, "cannot send a batch");
			return;
		}
	}
}

/* proc(5): statm's second number, in pages. */
static uint64_t own_rss(void)
{
	char text[128];
	unsigned long long pages = 0;

	if (fs_read_small(AT_FDCWD, "/proc/self/statm", text, sizeof(text)) < 0 ||
	    sscanf(text, "%*u %llu", &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void send_heartbeat(struct link *l)
{
	auto_buf struct buf b = BUF_INIT(FRAME_MAX_GREETING);
	struct spool_stats st;
	struct wire_heartbeat beat = {.t_wall_us = clock_wall_us()};

	lanes_sum(&l->lanes, &st);
	beat.spool_records = (uint32_t)MIN_OF(st.held_records, (uint64_t)UINT32_MAX);
	beat.spool_bytes = st.bytes + disk_bytes(l->disk);
	beat.rss_bytes = own_rss() + l->sense_self.rss_bytes;
	beat.cpu_us = (uint64_t)clock_cpu_us() + l->sense_self.cpu_us;
	beat.act = relay_reachable(l->relay);
	beat.leaving = l->said_leaving;
	wire_pack_heartbeat(&b, &beat);
	if (send_frame(l, FRAME_HEARTBEAT, &b) < 0)
		hang_up(l, "cannot send a heartbeat");
}

/* Nothing more comes, and what is left was sent: acks need not wait for company any more. */
static void leave(struct link *l)
{
	if (drained(l)) {
		hang_up(l, "agent stops, all sent");
	} else if (!l->said_leaving && lanes_next(&l->lanes) == LANES_MAX) {
		l->said_leaving = true;
		send_heartbeat(l);
	}
}

static void pump(struct link *l)
{
	if (l->state != &streaming)
		return;
	send_results(l);
	send_batches(l);
	if (l->stopping && l->intake_ended)
		leave(l);
}

/* ---- coming down: one handler a frame and state ---- */

/* The collector may have more of an old stream than its disk had when the host went down. */
static uint64_t no_more_than_held(const struct lane *lane, uint64_t last_seq)
{
	uint64_t held = spool_seq_max(lane->spool);

	if (last_seq <= held)
		return last_seq;
	log_warn("stream=%016" PRIx64 " went back on the disk to=%" PRIu64 " stored=%" PRIu64,
		 lane->epoch, held, last_seq);
	return held;
}

static int rewind_lane(struct link *l, const struct lane *lane, uint64_t last_seq,
		       struct error *err)
{
	struct spool *s = lane->spool;
	int rc;

	if (last_seq < spool_seq_min(s) - 1)
		log_warn("link=%016" PRIx64 " lane=%s collector went back from=%" PRIu64
			 " to=%" PRIu64,
			 l->id, lane_name(lane->kind), spool_seq_min(s) - 1, last_seq);
	rc = spool_rewind(s, last_seq);
	if (rc < 0)
		return error_set(err, rc, "collector has %" PRIu64 " of our %" PRIu64 " records",
				 last_seq, spool_seq_max(s));
	log_info("link=%016" PRIx64 " lane=%s stream=%016" PRIx64 " stored=%" PRIu64
		 " produced=%" PRIu64,
		 l->id, lane_name(lane->kind), lane->epoch, last_seq, spool_seq_max(s));
	return 0;
}

/* An old stream's first number is only what its disk still has: no word that the collector went
 * back. */
static int rewind_lanes(struct link *l, const uint64_t last_seq[LANES_MAX], struct error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < l->lanes.n; i++) {
		const struct lane *lane = &l->lanes.of[i];

		if (i < LANE_COUNT)
			rc = rewind_lane(l, lane, last_seq[i], err);
		else
			rc = spool_rewind(lane->spool, no_more_than_held(lane, last_seq[i]));
		if (rc == -ENOMEM)
			return error_set(err, rc, "no memory for a gap");
	}
	return rc;
}

static int on_hello_ack(struct link *l, struct arena *a, const struct frame *f, struct error *err)
{
	struct wire_hello_ack ack;
	uint64_t last_seq[LANES_MAX];
	int rc = wire_unpack_hello_ack(a, f->payload, f->len, &ack, err);

	if (rc == 0)
		rc = greeting_judge(&ack, &l->lanes, last_seq, &l->heartbeat_ms, err);
	if (rc == 0)
		rc = window_open(&l->window, &ack, err);
	if (rc == 0)
		rc = rewind_lanes(l, last_seq, err);
	if (rc < 0)
		return rc;
	log_info("link=%016" PRIx64 " streaming peer=%s", l->id, conn_peer_name(l->conn));
	l->said_leaving = false;
	go(l, &streaming);
	for (size_t i = 0; i < l->lanes.n; i++)
		disk_acked(l->disk, &l->lanes.of[i]);
	return 0;
}

static int on_ack(struct link *l, struct arena *a, const struct frame *f, struct error *err)
{
	struct wire_ack ack;
	struct lane *lane;
	int rc = wire_unpack_ack(a, f->payload, f->len, &ack, err);

	if (rc < 0)
		return rc;
	lane = lanes_find(&l->lanes, ack.epoch);
	if (!lane)
		return error_set(err, -EBADMSG, "ack of stream %016" PRIx64 ", which is not ours",
				 ack.epoch);
	rc = spool_ack(lane->spool, ack.seq);
	if (rc < 0)
		return error_set(err, rc, "ack of %" PRIu64 ", which was not sent", ack.seq);
	FAILPOINT("link.acked");
	window_acked(&l->window, (size_t)(lane - l->lanes.of), ack.seq);
	if (clock_boot_us() - l->streaming_since_us >= HEALTHY_US)
		retry_worked(&l->retry);
	disk_acked(l->disk, lane);
	pump(l);
	return 0;
}

static int on_heartbeat(struct link *l unused_arg, struct arena *a, const struct frame *f,
			struct error *err)
{
	struct wire_heartbeat beat;

	/* That it came is what counts: on_frame has noted it. */
	return wire_unpack_heartbeat(a, f->payload, f->len, &beat, err);
}

static int on_command(struct link *l, struct arena *a, const struct frame *f, struct error *err)
{
	struct wire_command c;
	int rc = wire_unpack_command(a, f->payload, f->len, &c, err);

	return rc < 0 ? rc : relay_submit(l->relay, &c, err);
}

static int on_goaway(struct link *l, struct arena *a, const struct frame *f, struct error *err)
{
	struct wire_goaway g;
	int rc = wire_unpack_goaway(a, f->payload, f->len, &g, err);

	if (rc < 0)
		return rc;
	log_warn("link=%016" PRIx64 " sent away reason=%u text='%s' retry_ms=%u..%u", l->id,
		 (unsigned)g.reason, g.text, (unsigned)g.retry_min_ms, (unsigned)g.retry_max_ms);
	retry_ask(&l->retry, g.retry_min_ms, g.retry_max_ms);
	hang_up(l, "collector sent us away");
	return 0;
}

static const struct {
	const struct link_state *state;
	enum frame_type type;
	int (*handle)(struct link *l, struct arena *a, const struct frame *f, struct error *err);
} handlers[] = {
	{&greeting, FRAME_HELLO_ACK, on_hello_ack},
	{&greeting, FRAME_GO_AWAY, on_goaway},
	{&streaming, FRAME_ACK, on_ack},
	{&streaming, FRAME_HEARTBEAT, on_heartbeat},
	{&streaming, FRAME_COMMAND, on_command},
	{&streaming, FRAME_GO_AWAY, on_goaway},
};

static int handle_frame(struct link *l, const struct frame *f, struct error *err)
{
	auto_arena struct arena a;

	arena_init(&a, WIRE_BUDGET(f->len));
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
		if (handlers[i].state == l->state && handlers[i].type == f->type)
			return handlers[i].handle(l, &a, f, err);
	return error_set(err, -EPROTO, "frame %s while %s", frame_name(f->type), l->state->name);
}

static void on_frame(void *arg, struct conn *c unused_arg, const struct frame *f)
{
	struct link *l = arg;
	struct error err = {""};

	MAGIC_CHECK(l, MAGIC);
	if (l->state == &closing)
		return;
	l->missed = 0;
	if (handle_frame(l, f, &err) < 0)
		hang_up(l, err.msg);
}

/* ---- the connection's life ---- */

static void on_open(void *arg, struct conn *c unused_arg)
{
	struct link *l = arg;

	MAGIC_CHECK(l, MAGIC);
	if (l->state == &connecting)
		go(l, &greeting);
}

static void on_close(void *arg, struct conn *c unused_arg, const char *why)
{
	struct link *l = arg;

	MAGIC_CHECK(l, MAGIC);
	l->conn = NULL;
	log_info("link=%016" PRIx64 " closed while=%s why='%s'", l->id, l->state->name, why);
	if (l->stopping)
		event_base_loopbreak(l->base);
	else
		go(l, &waiting);
}

static void on_drain(void *arg, struct conn *c unused_arg)
{
	struct link *l = arg;

	MAGIC_CHECK(l, MAGIC);
	pump(l);
}

static const struct conn_ops conn_ops = {
	.on_open = on_open,
	.on_frame = on_frame,
	.on_close = on_close,
	.on_drain = on_drain,
};

static int connect_now(struct link *l, struct error *err)
{
	char host[OPTIONS_HOST_SIZE];
	uint16_t port;
	int rc = credentials_address(l->options, l->which, host, &port, err);

	tls_ctx_free(&l->tls); /* read anew each time: the host may have been enrolled again */
	if (rc == 0)
		rc = credentials_load(l->options, &l->tls, err);
	if (rc == 0)
		rc = conn_connect(l->base, l->tls, host, port, OUT_MAX, &conn_ops, l, &l->conn,
				  err);
	return rc;
}

static void enter_connecting(struct link *l)
{
	struct error err = {""};

	if (connect_now(l, &err) == 0)
		return;
	log_warn("link=%016" PRIx64 " cannot connect error='%s'", l->id, err.msg);
	l->conn = NULL;
	if (l->stopping)
		event_base_loopbreak(l->base);
	else
		go(l, &waiting);
}

static void enter_greeting(struct link *l)
{
	auto_buf struct buf b = BUF_INIT(FRAME_MAX_GREETING);
	struct error err = {""};

	disk_adopt(l->disk);
	conn_max_payload(l->conn, FRAME_MAX_PAYLOAD);
	if (greeting_hello(l->options, &l->start, &l->lanes, relay_reachable(l->relay), &b, &err) <
	    0)
		hang_up(l, err.msg);
	else if (send_frame(l, FRAME_HELLO, &b) < 0)
		hang_up(l, "cannot send Hello");
}

static void enter_streaming(struct link *l)
{
	l->missed = 0;
	l->streaming_since_us = clock_boot_us();
	disk_streaming(l->disk, true);
	/* The collector may have lost what it knew of our processes. */
	l->keyframe_asked_us = 0;
	want_keyframe(l);
	pump(l);
}

static int64_t waiting_us(struct link *l)
{
	uint64_t random;

	random_bytes(&random, sizeof(random));
	l->which++;
	return retry_delay(&l->retry, random);
}

static int64_t connecting_us(struct link *l unused_arg)
{
	return CONNECTING_US;
}

static int64_t greeting_us(struct link *l unused_arg)
{
	return GREETING_US;
}

static int64_t streaming_us(struct link *l)
{
	return l->heartbeat_ms * MSEC_PER_SEC;
}

static int64_t closing_us(struct link *l unused_arg)
{
	return CLOSING_US;
}

static void waited(struct link *l)
{
	go(l, &connecting);
}

static void took_too_long(struct link *l)
{
	hang_up(l, l->state == &connecting ? "connecting takes too long" : "no answer to Hello");
}

static void heartbeat_due(struct link *l)
{
	if (++l->missed >= MISSED_MAX) {
		hang_up(l, "collector is silent");
		return;
	}
	arm(l->deadline, streaming_us(l));
	send_heartbeat(l);
	pump(l);
}

static void close_hangs(struct link *l)
{
	conn_free(&l->conn);
	on_close(l, NULL, "closing takes too long");
}

static const struct link_state waiting = {"waiting", NULL, waiting_us, waited};
static const struct link_state connecting = {"connecting", enter_connecting, connecting_us,
					     took_too_long};
static const struct link_state greeting = {"greeting", enter_greeting, greeting_us, took_too_long};
static const struct link_state streaming = {"streaming", enter_streaming, streaming_us,
					    heartbeat_due};
static const struct link_state closing = {"closing", NULL, closing_us, close_hangs};

/* ---- from sense and to actd ---- */

static void keep(struct link *l, enum wire_record kind, bool keyframe, int64_t t_wall_us,
		 const uint8_t *body, size_t len)
{
	enum lane_id id = lane_of_kind(kind);
	bool wanted = spool_add(l->lanes.of[id].spool, kind, keyframe, t_wall_us, body, len) ==
		      SPOOL_WANTS_KEYFRAME;

	if (disk_keep(l->disk, kind))
		wanted = true;
	if (wanted && id == LANE_SAMPLES)
		want_keyframe(l);
	FAILPOINT("link.kept");
	pump(l);
}

static void on_record(void *arg, const struct record_head *h, const uint8_t *body)
{
	struct link *l = arg;
	enum wire_record kind = (enum wire_record)h->kind; /* record.h: the same numbers */

	MAGIC_CHECK(l, MAGIC);
	if (h->kind == RECORD_SELF) {
		memcpy(&l->sense_self, body, sizeof(l->sense_self));
		return;
	}
	keep(l, kind, h->flags & RECORD_KEYFRAME, h->t_wall_us, body, h->len);
}

static void on_intake_end(void *arg, const char *why)
{
	struct link *l = arg;

	MAGIC_CHECK(l, MAGIC);
	log_line(l->stopping ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
		 "link=%016" PRIx64 " sense is gone why='%s'", l->id, why);
	l->intake_ended = true;
	pump(l);
}

static const struct intake_ops intake_ops = {.on_record = on_record, .on_end = on_intake_end};

/* Before it is done: sense must not be surprised by how the process ends. The command goes on in
 * any case: what is asked matters more than how its end is told. */
static void on_start(void *arg, const struct command_request *q)
{
	struct link *l = arg;

	MAGIC_CHECK(l, MAGIC);
	if (!notice_begin(l->intake, q))
		log_warn("link=%016" PRIx64 " sense was not told of an action", l->id);
}

static void on_result(void *arg, const uint8_t result[COMMAND_RESULT_SIZE])
{
	struct link *l = arg;

	MAGIC_CHECK(l, MAGIC);
	if (!notice_result(l->intake, result))
		log_warn("link=%016" PRIx64 " sense was not told that nothing was done", l->id);
	if (l->n_results == RELAY_QUEUE) {
		log_warn("link=%016" PRIx64 " result dropped: %d wait already", l->id, RELAY_QUEUE);
		return;
	}
	memcpy(l->results[l->n_results++], result, COMMAND_RESULT_SIZE);
	pump(l);
}

/* What a command made goes the way of events and kills: spooled, and stored once. */
static void on_body(void *arg, enum wire_record kind, const uint8_t *body, size_t len,
		    int64_t t_wall_us, const char *why)
{
	struct link *l = arg;

	MAGIC_CHECK(l, MAGIC);
	if (!body) {
		log_warn("link=%016" PRIx64 " %s dropped why='%s'", l->id,
			 kind == WIRE_CENSUS ? "census" : "snapshot", why);
		return;
	}
	keep(l, kind, false, t_wall_us, body, len);
}

/* What the host did by itself goes the way of all events. */
static void on_diary(void *arg, const struct wire_event *e)
{
	struct link *l = arg;
	auto_buf struct buf b = BUF_INIT(RECORD_MAX_BODY);

	MAGIC_CHECK(l, MAGIC);
	wire_pack_event(&b, e);
	if (buf_status(&b) == 0)
		keep(l, WIRE_EVENT, false, e->t_wall_us, b.data, b.len);
}

static const struct relay_ops relay_ops = {.start = on_start, .done = on_result, .body = on_body};

static void on_trouble(void *arg, const char *why)
{
	struct link *l = arg;
	auto_buf struct buf b = BUF_INIT(RECORD_MAX_BODY);
	struct wire_event e = {
		.t_wall_us = clock_wall_us(),
		.kind = WIRE_EVENT_SELF_LIMIT,
		.text = why ? "the disk spool fails: what is not stored is in memory alone"
			    : "the disk spool works again",
		.keys = (const char *[]){"spool", "error"},
		.values = (const char *[]){why ? "memory" : "disk", why ? why : ""},
		.n_details = why ? 2 : 1};

	MAGIC_CHECK(l, MAGIC);
	wire_pack_event(&b, &e);
	if (buf_status(&b) == 0)
		keep(l, WIRE_EVENT, false, e.t_wall_us, b.data, b.len);
}

/* They can only be told by a Hello. */
static void on_found(void *arg)
{
	struct link *l = arg;

	MAGIC_CHECK(l, MAGIC);
	if (l->state == &streaming)
		hang_up(l, "streams of former starts are to be told");
}

static const struct disk_ops disk_ops = {.on_trouble = on_trouble, .on_found = on_found};

/* ---- the owner's side ---- */

/* What lies on the disk is known to its end: it is drained, not ended by a gap. */
static void forget_prev(struct link *l)
{
	for (enum lane_id id = 0; id < LANE_COUNT; id++)
		if (disk_knows(l->disk, l->start.prev_epochs[id]))
			l->start.prev_epochs[id] = 0;
}

int link_new(struct event_base *base, const struct agent_options *o, const struct link_start *start,
	     struct link **ret, struct error *err)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		return error_set(err, -ENOMEM, "no memory for the link");
	*l = (struct link){.magic = MAGIC,
			   .base = base,
			   .options = o,
			   .start = *start,
			   .id = start->epochs[LANE_SAMPLES],
			   .intake_ended = true,
			   .which = (unsigned)-1, /* the wait before the first one counts it to 0 */
			   .retry = {.base_us = o->reconnect_base,
				     .cap_us = o->reconnect_cap,
				     .first_us = o->reconnect_first}};
	l->deadline = evtimer_new(base, on_deadline, l);
	if (!l->deadline || lanes_init(&l->lanes, start->epochs, (size_t)o->spool_memory) < 0 ||
	    relay_new(base, o->actd_socket, &relay_ops, l, &l->relay) < 0 ||
	    diary_new(base, o->actd_socket, on_diary, l, &l->diary) < 0) {
		link_free(&l);
		return error_set(err, -ENOMEM, "no memory for the link");
	}
	go(l, &waiting);
	if (disk_new(base, o, &l->lanes, &disk_ops, l, &l->disk) < 0) {
		link_free(&l);
		return error_set(err, -ENOMEM, "no memory for the disk spool");
	}
	forget_prev(l);
	*ret = l;
	return 0;
}

void link_free(struct link **l)
{
	struct link *p = *l;

	if (!p)
		return;
	if (p->conn)
		conn_free(&p->conn);
	tls_ctx_free(&p->tls);
	intake_free(&p->intake);
	relay_free(&p->relay);
	diary_free(&p->diary);
	disk_free(&p->disk);
	lanes_fini(&p->lanes);
	if (p->deadline)
		event_free(p->deadline);
	if (p->stop_limit)
		event_free(p->stop_limit);
	free(p);
	*l = NULL;
}

int link_attach(struct link *l, int fd, struct error *err)
{
	int rc;

	intake_free(&l->intake);
	l->keyframe_asked_us = 0;
	rc = intake_new(l->base, fd, &intake_ops, l, &l->intake, err);
	l->intake_ended = rc < 0;
	return rc;
}

static void on_stop_limit(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct link *l = arg;

	MAGIC_CHECK(l, MAGIC);
	event_base_loopbreak(l->base);
}

void link_stop(struct link *l)
{
	if (l->stopping)
		return;
	l->stopping = true;
	l->stop_limit = evtimer_new(l->base, on_stop_limit, l);
	if (l->stop_limit)
		arm(l->stop_limit, LINK_FLUSH_SEC * USEC_PER_SEC);
	else
		event_base_loopbreak(l->base);
	if (l->state == &waiting && drained(l) && l->intake_ended)
		event_base_loopbreak(l->base);
	else if (l->state == &waiting)
		go(l, &connecting);
	else
		pump(l);
}

const char *link_state_name(const struct link *l)
{
	return l->state->name;
}

void link_stats(const struct link *l, enum lane_id id, struct spool_stats *ret)
{
	spool_stats(l->lanes.of[id].spool, ret);
}
