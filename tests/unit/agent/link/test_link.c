/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=clock_gettime
/* The whole link against a collector of our own, over real TLS on the loopback. */
#include "agent/link/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "agent/link/credentials.h"
#include "agent/link/spool.h"
#include "agent/record.h"
#include "common/arena.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"
#include "common/tls.h"
#include "common/tls_ca.h"
#include "proto/command.h"
#include "proto/conn.h"
#include "tests/support/test.h"

#define EPOCH    UINT64_C(0x1122334455667788)
#define MAX_SEEN 20000

static const struct link_start link_start = {
	.epochs = {[LANE_URGENT] = EPOCH + 1, [LANE_SAMPLES] = EPOCH},
	.prev_epochs = {[LANE_URGENT] = 71, [LANE_SAMPLES] = 72},
};

/* What one stream brought. */
struct far_stream {
	uint64_t committed;
	uint64_t gapped;
	uint32_t value[MAX_SEEN];
};

/* A collector that commits what comes in order and can be told to misbehave. */
struct far {
	struct event_base *base;
	struct tls_ctx *tls;
	int listener;
	uint16_t port;
	struct event *acceptable;
	struct conn *conn;

	bool no_acks;
	bool no_echo;
	uint32_t heartbeat_ms;
	uint32_t proto;
	uint32_t max_frame;
	uint32_t max_bytes;
	bool lie;           /* HelloAck tells of more than was produced */
	bool one_only;      /* HelloAck names one of the streams */
	unsigned cut_after; /* drop the connection after so many batches */

	unsigned accepts;
	unsigned hellos;
	int64_t hello_wall_us;
	bool act;
	unsigned batches;
	unsigned heartbeats;
	bool beat_act; /* as the last of them said */
	struct far_stream of[LANE_COUNT];
	uint64_t again; /* numbers that came although they were committed */
	unsigned kills;
	uint64_t samples_before_kill; /* committed when the first kill came */
	unsigned results;
	struct command_result result;
	char why[256];
};

struct world {
	char folder[64];
	struct event_base *base;
	struct far far;
	struct agent_options o;
	struct link *link;
	int sense;
	uint32_t produced[LANE_COUNT];
};

static int64_t clock_set_us;

int __real_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
	int rc = __real_clock_gettime(id, ret);

	if (id == CLOCK_REALTIME)
		ret->tv_sec += clock_set_us / USEC_PER_SEC;
	return rc;
}

static void far_send(struct far *f, enum frame_type type, struct buf *b)
{
	assert_int_equal(buf_status(b), 0);
	if (f->conn)
		assert_int_equal(conn_send(f->conn, type, b->data, b->len), 0);
	buf_fini(b);
}

static void far_hello(struct far *f, struct arena *a, const struct frame *fr)
{
	struct buf b = BUF_INIT(4096);
	struct wire_epoch e[LANE_COUNT];
	struct wire_hello h;
	struct wire_hello_ack ack = {
		.proto = f->proto,
		.t_wall_us = 1,
		.heartbeat_ms = f->heartbeat_ms,
		.max_frame = f->max_frame,
		.max_unacked_bytes = f->max_bytes,
		.max_unacked_batches = 4,
		.epochs = e,
		.n_epochs = f->one_only ? 1 : LANE_COUNT,
	};
	struct error err = {""};

	if (wire_unpack_hello(a, fr->payload, fr->len, &h, &err) < 0)
		fail_msg("hello: %s", err.msg);
	assert_int_equal(h.n_epochs, LANE_COUNT);
	assert_int_equal(h.prev_epoch, link_start.prev_epochs[LANE_SAMPLES]);
	assert_int_equal(h.prev_urgent_epoch, link_start.prev_epochs[LANE_URGENT]);
	for (enum lane_id id = 0; id < LANE_COUNT; id++) {
		assert_int_equal(h.epochs[id].epoch, link_start.epochs[id]);
		e[id] = (struct wire_epoch){.epoch = link_start.epochs[id],
					    .seq_max = f->of[id].committed};
	}
	if (f->lie)
		e[LANE_SAMPLES].seq_max = h.epochs[LANE_SAMPLES].seq_max + 1;
	f->act = h.act;
	f->hellos++;
	f->hello_wall_us = h.t_wall_us;
	conn_max_payload(f->conn, FRAME_MAX_PAYLOAD);
	wire_pack_hello_ack(&b, &ack);
	far_send(f, FRAME_HELLO_ACK, &b);
}

static void far_record(struct far *f, enum lane_id id, struct arena *a, const struct wire_rec *r)
{
	struct far_stream *s = &f->of[id];
	struct wire_gap g = {.to_seq = r->seq};

	if (r->kind == WIRE_GAP)
		assert_int_equal(wire_unpack_gap(a, r->body, r->len, &g, NULL), 0);
	if (g.to_seq <= s->committed) {
		f->again++;
		return;
	}
	assert_int_equal(r->seq, s->committed + 1); /* never a hole */
	assert_true(r->kind == WIRE_GAP || (r->kind == WIRE_TICK) == (id == LANE_SAMPLES));
	if (r->kind == WIRE_KILL && f->kills++ == 0)
		f->samples_before_kill = f->of[LANE_SAMPLES].committed;
	if (r->kind == WIRE_GAP)
		s->gapped += g.to_seq - r->seq + 1;
	else if (r->len >= sizeof(uint32_t) && r->seq < MAX_SEEN)
		memcpy(&s->value[r->seq], r->body, sizeof(uint32_t));
	s->committed = g.to_seq;
}

static void far_ack(struct far *f, uint64_t epoch, uint64_t seq)
{
	struct buf b = BUF_INIT(4096);

	wire_pack_ack(&b, &(struct wire_ack){.epoch = epoch, .seq = seq});
	far_send(f, FRAME_ACK, &b);
}

static void far_ack_lane(struct far *f, enum lane_id id)
{
	far_ack(f, link_start.epochs[id], f->of[id].committed);
}

static void far_batch(struct far *f, struct arena *a, const struct frame *fr)
{
	struct wire_batch batch;
	struct error err = {""};
	enum lane_id id;

	if (wire_unpack_batch(a, fr->payload, fr->len, &batch, &err) < 0)
		fail_msg("batch: %s", err.msg);
	id = batch.epoch == EPOCH ? LANE_SAMPLES : LANE_URGENT;
	assert_int_equal(batch.epoch, link_start.epochs[id]);
	assert_true(fr->len <= f->max_frame);
	for (size_t i = 0; i < batch.n; i++)
		far_record(f, id, a, &batch.records[i]);
	f->batches++;
	if (f->cut_after && f->batches % f->cut_after == 0)
		conn_close(f->conn, "cut"); /* committed, and the ack is lost */
	else if (!f->no_acks)
		far_ack_lane(f, id);
}

static void far_frame(void *arg, struct conn *c unused_arg, const struct frame *fr)
{
	struct far *f = arg;
	struct wire_command m;
	auto_arena struct arena a;

	arena_init(&a, WIRE_BUDGET(fr->len));
	if (fr->type == FRAME_HELLO)
		far_hello(f, &a, fr);
	else if (fr->type == FRAME_BATCH)
		far_batch(f, &a, fr);
	else if (fr->type == FRAME_HEARTBEAT) {
		struct wire_heartbeat beat;

		assert_int_equal(wire_unpack_heartbeat(&a, fr->payload, fr->len, &beat, NULL), 0);
		f->heartbeats++;
		f->beat_act = beat.act;
		if (!f->no_echo && f->conn)
			(void)!conn_send(f->conn, FRAME_HEARTBEAT, fr->payload, fr->len);
	} else if (fr->type == FRAME_COMMAND_RESULT) {
		struct wire_command_result res;
		uint8_t body[COMMAND_RESULT_SIZE];

		/* what a collector before 0.2 makes of it */
		assert_int_equal(wire_unpack_command(&a, fr->payload, fr->len, &m, NULL), 0);
		assert_int_equal(command_result_unpack(m.body.data, m.body.len, &f->result, NULL),
				 0);
		assert_int_equal(f->result.journal.last, 0);
		assert_int_equal(wire_unpack_command_result(&a, fr->payload, fr->len, &res, NULL),
				 0);
		assert_int_equal(res.body.len, sizeof(body));
		memcpy(body, res.body.data, sizeof(body));
		if (res.journal.len)
			command_result_join(body, res.journal.data);
		assert_int_equal(command_result_unpack(body, sizeof(body), &f->result, NULL), 0);
		f->results++;
	} else {
		fail_msg("frame %u", fr->type);
	}
}

static void far_open(void *arg unused_arg, struct conn *c unused_arg)
{
}

static void far_close(void *arg, struct conn *c, const char *why)
{
	struct far *f = arg;

	snprintf(f->why, sizeof(f->why), "%s", why);
	if (f->conn == c)
		f->conn = NULL;
}

static const struct conn_ops far_ops = {.on_open = far_open,
					.on_frame = far_frame,
					.on_close = far_close};

static void far_accept(evutil_socket_t fd, short what unused_arg, void *arg)
{
	struct far *f = arg;
	int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (peer < 0)
		return;
	f->accepts++;
	if (f->conn)
		conn_free(&f->conn);
	(void)!conn_accept(f->base, f->tls, peer, 1 << 20, &far_ops, f, &f->conn, NULL);
}

static char *in(const struct world *w, const char *name, char out[128])
{
	snprintf(out, 128, "%s/%s", w->folder, name);
	return out;
}

enum identity { GOOD, FOREIGN, EXPIRED };

/* A CA, a server certificate and a host certificate of it, in folder. FOREIGN: the host has
 * another CA's certificate and believes only in that. */
static void make_identity(struct world *w, enum identity id)
{
	int64_t from = time(NULL) - (id == EXPIRED ? 7200 : 60);

	char path[128];
	char other[128];
	struct tls_ca *ca;
	struct tls_ca *host_ca;
	struct buf b = BUF_INIT(65536);
	struct buf csr = BUF_INIT(65536);
	const uint8_t uuid[16] = {1, 2, 3};
	struct tls_files files;
	char cert[128];
	char key[128];
	char ca_pem[128];

	assert_int_equal(tls_ca_open(w->folder, &ca, NULL), 0);
	assert_int_equal(tls_ca_server(ca, w->folder, NULL), 0);
	files = (struct tls_files){.ca = in(w, "ca.pem", ca_pem),
				   .cert = in(w, "server.pem", cert),
				   .key = in(w, "server.key", key)};
	assert_int_equal(tls_ctx_new(TLS_STREAM_SERVER, &files, &w->far.tls, NULL), 0);
	host_ca = ca;
	if (id == FOREIGN) {
		mkdir(in(w, "other", other), 0700);
		assert_int_equal(tls_ca_open(other, &host_ca, NULL), 0);
	}
	assert_int_equal(tls_ca_pem(host_ca, &b, NULL), 0);
	assert_int_equal(fs_write(in(w, CREDENTIALS_CA, path), 0644, b.data, b.len, NULL), 0);
	assert_int_equal(tls_make_csr(in(w, CREDENTIALS_KEY, path), "h", &csr, NULL), 0);
	buf_reset(&b);
	assert_int_equal(tls_ca_issue(host_ca, csr.data, csr.len, uuid, from, 3600, &b, NULL), 0);
	assert_int_equal(fs_write(in(w, CREDENTIALS_CERT, path), 0644, b.data, b.len, NULL), 0);
	if (host_ca != ca)
		tls_ca_free(&host_ca);
	tls_ca_free(&ca);
	buf_fini(&b);
	buf_fini(&csr);
}

static void listen_on_loopback(struct far *f)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);

	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(f->listener, 16), 0);
	assert_int_equal(getsockname(f->listener, (struct sockaddr *)&at, &len), 0);
	f->port = ntohs(at.sin_port);
	f->acceptable = event_new(f->base, f->listener, EV_READ | EV_PERSIST, far_accept, f);
	event_add(f->acceptable, NULL);
}

static void set(struct world *w, const char *key, const char *value)
{
	struct error err = {""};

	if (conf_set(&agent_options_table, &w->o, key, value, "test", &err) < 0)
		fail_msg("%s", err.msg);
}

static void attach(struct world *w)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	w->sense = pair[0];
	assert_int_equal(link_attach(w->link, pair[1], NULL), 0);
}

static void start(struct world *w)
{
	char text[64];
	char path[128];

	snprintf(text, sizeof(text), "127.0.0.1:%u", w->far.port);
	set(w, "collector", text);
	set(w, "state_dir", w->folder);
	set(w, "actd_socket", in(w, "actd.sock", path));
	set(w, "spool_disk", "0"); /* test_disk.c is about that */
	set(w, "reconnect_base", "20ms");
	set(w, "reconnect_cap", "40ms");
	set(w, "reconnect_first", "40ms");
	assert_int_equal(link_new(w->base, &w->o, &link_start, &w->link, NULL), 0);
	attach(w);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	log_init("test", getenv("VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	strcpy(w->folder, "/tmp/test_link.XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	w->base = event_base_new();
	w->far = (struct far){.base = w->base,
			      .heartbeat_ms = 10000,
			      .proto = WIRE_PROTO,
			      .max_frame = FRAME_MAX_PAYLOAD,
			      .max_bytes = 512 * 1024};
	assert_int_equal(conf_defaults(&agent_options_table, &w->o, NULL), 0);
	make_identity(w, GOOD);
	listen_on_loopback(&w->far);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	char command[128];

	link_free(&w->link);
	if (w->sense)
		close(w->sense);
	if (w->far.conn)
		conn_free(&w->far.conn);
	event_free(w->far.acceptable);
	close(w->far.listener);
	tls_ctx_free(&w->far.tls);
	event_base_free(w->base);
	conf_fini(&agent_options_table, &w->o);
	snprintf(command, sizeof(command), "rm -rf %s", w->folder);
	assert_int_equal(system(command), 0);
	free(w);
	return 0;
}

static void on_tick(evutil_socket_t fd unused_arg, short what unused_arg, void *arg unused_arg)
{
}

static void turn(struct world *w)
{
	const struct timeval tv = {.tv_usec = 2000};

	event_base_once(w->base, -1, EV_TIMEOUT, on_tick, NULL, &tv);
	event_base_loop(w->base, EVLOOP_ONCE);
}

#define run_until(w, condition, ms)                                                   \
	do {                                                                          \
		int64_t end_ = clock_boot_us() + (ms)*1000LL;                         \
		bool met_;                                                            \
		while (!(met_ = (condition)) && clock_boot_us() < end_)               \
			turn(w);                                                      \
		if (!met_)                                                            \
			fail_msg("not within %d ms: %s (state %s)", (ms), #condition, \
				 link_state_name((w)->link));                         \
	} while (0)

#define run_for(w, ms)                                        \
	do {                                                  \
		int64_t end_ = clock_boot_us() + (ms)*1000LL; \
		while (clock_boot_us() < end_)                \
			turn(w);                              \
	} while (0)

static bool is_streaming(const struct world *w)
{
	return strcmp(link_state_name(w->link), "streaming") == 0;
}

static bool drained(const struct world *w)
{
	for (enum lane_id id = 0; id < LANE_COUNT; id++) {
		struct spool_stats st;

		link_stats(w->link, id, &st);
		if (st.produced != w->produced[id] || st.acked != st.produced)
			return false;
	}
	return true;
}

static void write_all(struct world *w, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = send(w->sense, p, len, MSG_DONTWAIT);

		if (n < 0) {
			turn(w);
			continue;
		}
		p += n;
		len -= (size_t)n;
	}
}

static uint32_t produced(const struct world *w)
{
	return w->produced[LANE_URGENT] + w->produced[LANE_SAMPLES];
}

/* A record whose first four bytes are its number; the first of ten ticks is a keyframe. */
static void produce_kind(struct world *w, enum record_kind kind, size_t len)
{
	static uint8_t body[RECORD_MAX_BODY];
	bool tick = kind == RECORD_TICK;
	uint32_t *n = &w->produced[tick ? LANE_SAMPLES : LANE_URGENT];
	struct record_head h = {.len = (uint32_t)len,
				.kind = (uint16_t)kind,
				.flags = tick && *n % 10 == 0 ? RECORD_KEYFRAME : 0,
				.t_wall_us = 1000 + produced(w)};

	++*n;
	memcpy(body, n, sizeof(*n));
	write_all(w, &h, sizeof(h));
	write_all(w, body, len);
}

/* One of ten is urgent. */
static void produce(struct world *w)
{
	static const enum record_kind urgent[] = {RECORD_EVENT, RECORD_KILL, RECORD_POSTURE};
	uint32_t n = produced(w);

	produce_kind(w, n % 10 == 9 ? urgent[n / 10 % ARRAY_SIZE(urgent)] : RECORD_TICK, 200);
}

static void assert_all_there(const struct world *w)
{
	for (enum lane_id id = 0; id < LANE_COUNT; id++) {
		assert_int_equal(w->far.of[id].committed, w->produced[id]);
		for (uint32_t i = 1; i <= w->produced[id]; i++)
			assert_int_equal(w->far.of[id].value[i], i);
	}
}

static bool all_committed(const struct world *w)
{
	return w->far.of[LANE_URGENT].committed == w->produced[LANE_URGENT] &&
	       w->far.of[LANE_SAMPLES].committed == w->produced[LANE_SAMPLES];
}

static void records_arrive_in_order_and_are_freed(void **state)
{
	struct world *w = *state;

	start(w);
	for (int i = 0; i < 300; i++)
		produce(w);
	run_until(w, drained(w), 5000);
	assert_all_there(w);
	assert_int_equal(w->far.again, 0);
	assert_int_equal(w->far.hellos, 1);
}

static void a_keyframe_is_asked_for_on_each_connection(void **state)
{
	struct world *w = *state;
	struct record_head h;

	start(w);
	run_until(w, is_streaming(w), 5000);
	for (int i = 0; i < 2; i++) {
		run_until(w, recv(w->sense, &h, sizeof(h), MSG_DONTWAIT) == sizeof(h), 5000);
		assert_int_equal(h.kind, RECORD_WANT_KEYFRAME);
		assert_int_equal(h.len, 0);
		conn_close(w->far.conn, "test");
	}
}

/* The collector goes away again and again between commit and ack. */
static void nothing_is_lost_or_doubled_over_reconnects(void **state)
{
	struct world *w = *state;

	w->far.cut_after = 3;
	w->far.max_bytes = 8000;
	start(w);
	for (int i = 0; i < 1500; i++) {
		produce(w);
		if (i % 7 == 0)
			turn(w);
	}
	run_until(w, all_committed(w), 10000);
	w->far.cut_after = 0;
	run_until(w, drained(w), 5000);
	assert_true(w->far.hellos > 3);
	assert_all_there(w);
	assert_int_equal(w->far.of[LANE_SAMPLES].gapped + w->far.of[LANE_URGENT].gapped, 0);
	/* HelloAck said what was stored: it was not sent again */
	assert_int_equal(w->far.again, 0);
}

static void the_grant_is_kept(void **state)
{
	struct world *w = *state;

	w->far.no_acks = true;
	w->far.max_bytes = 10000;
	start(w);
	run_until(w, is_streaming(w), 5000);
	for (int i = 0; i < 200; i++)
		produce(w);
	run_for(w, 200);
	/* and one batch of urgent records */
	assert_true(w->far.batches >= 2 && w->far.batches <= 5);
	assert_true(w->far.of[LANE_SAMPLES].committed * 200 <= 10000);
	w->far.no_acks = false;
	far_ack_lane(&w->far, LANE_SAMPLES);
	far_ack_lane(&w->far, LANE_URGENT);
	run_until(w, drained(w), 5000);
	assert_all_there(w);
}

static void a_record_larger_than_the_grant_goes_alone(void **state)
{
	struct world *w = *state;

	w->far.max_bytes = 1000;
	start(w);
	run_until(w, is_streaming(w), 5000);
	produce_kind(w, RECORD_TICK, RECORD_MAX_BODY);
	produce_kind(w, RECORD_KILL, RECORD_MAX_BODY);
	produce(w);
	run_until(w, drained(w), 5000);
	assert_all_there(w);
}

static void an_outage_longer_than_the_spool_leaves_a_gap(void **state)
{
	struct world *w = *state;

	set(w, "spool_memory", "64KiB");
	w->far.proto = 99; /* no session comes about */
	start(w);
	for (int i = 0; i < 2000; i++) {
		produce(w);
		if (i % 10 == 0)
			turn(w);
	}
	w->far.proto = WIRE_PROTO;
	run_until(w, drained(w), 10000);
	assert_true(all_committed(w));
	assert_true(w->far.of[LANE_SAMPLES].gapped > 1000 && w->far.of[LANE_SAMPLES].gapped < 1800);
	assert_int_equal(w->far.of[LANE_URGENT].gapped, 0);
}

/* ---- what is urgent ---- */

static void a_kill_goes_before_the_backlog(void **state)
{
	struct world *w = *state;

	w->far.proto = 99; /* no session comes about */
	start(w);
	for (int i = 0; i < 1000; i++)
		produce_kind(w, RECORD_TICK, 1000);
	produce_kind(w, RECORD_KILL, 3000);
	w->far.proto = WIRE_PROTO;
	run_until(w, drained(w), 10000);
	assert_int_equal(w->far.samples_before_kill, 0);
	assert_all_there(w);
}

/* The collector takes samples and does not get them stored. */
static void a_kill_passes_samples_that_hold_the_grant(void **state)
{
	struct world *w = *state;

	w->far.no_acks = true;
	w->far.max_bytes = 10000;
	start(w);
	run_until(w, is_streaming(w), 5000);
	for (int i = 0; i < 200; i++)
		produce_kind(w, RECORD_TICK, 200);
	run_until(w, w->far.batches >= 2, 5000);
	produce_kind(w, RECORD_KILL, 5000);
	run_until(w, w->far.kills == 1, 5000);
	/* the one after it is within the grant again */
	produce_kind(w, RECORD_KILL, 5000);
	run_for(w, 100);
	assert_int_equal(w->far.kills, 1);
	far_ack_lane(&w->far, LANE_URGENT);
	run_until(w, w->far.kills == 2, 5000);
	assert_true(w->far.of[LANE_SAMPLES].committed < 200);
	w->far.no_acks = false;
	far_ack_lane(&w->far, LANE_URGENT);
	far_ack_lane(&w->far, LANE_SAMPLES);
	run_until(w, drained(w), 5000);
	assert_all_there(w);
}

static void samples_never_displace_a_kill(void **state)
{
	struct world *w = *state;

	set(w, "spool_memory", "64KiB");
	w->far.proto = 99;
	start(w);
	for (int i = 0; i < 14; i++)
		produce_kind(w, RECORD_KILL, 4000);
	for (int i = 0; i < 3000; i++)
		produce_kind(w, RECORD_TICK, 200);
	w->far.proto = WIRE_PROTO;
	run_until(w, drained(w), 10000);
	assert_int_equal(w->far.kills, 14);
	assert_int_equal(w->far.of[LANE_URGENT].gapped, 0);
	assert_true(w->far.of[LANE_SAMPLES].gapped > 1000);
}

static void goaway_says_when_to_come_back(void **state)
{
	struct world *w = *state;
	struct buf b = BUF_INIT(4096);

	start(w);
	run_until(w, is_streaming(w), 5000);
	wire_pack_goaway(&b, &(struct wire_goaway){.reason = WIRE_GOAWAY_BUSY,
						   .retry_min_ms = 400,
						   .retry_max_ms = 600,
						   .text = "busy"});
	far_send(&w->far, FRAME_GO_AWAY, &b);
	run_until(w, !is_streaming(w), 2000);
	run_for(w, 300);
	assert_int_equal(w->far.hellos, 1);
	run_until(w, w->far.hellos == 2, 3000);
}

static void a_silent_collector_is_left(void **state)
{
	struct world *w = *state;

	w->far.heartbeat_ms = 50;
	start(w);
	run_until(w, is_streaming(w), 5000);
	run_for(w, 500); /* it echoes: the session stays */
	assert_true(w->far.heartbeats >= 4);
	assert_int_equal(w->far.hellos, 1);
	w->far.no_echo = true;
	run_until(w, w->far.hellos == 2, 3000);
}

static void a_boot_clock_that_is_off_is_told(void **state)
{
	struct world *w = *state;

	w->far.heartbeat_ms = 50;
	start(w);
	run_until(w, is_streaming(w), 5000);
	run_until(w, w->far.heartbeats >= 2, 3000);
	assert_int_equal(w->far.hellos, 1);
	/* A larger step is no pause that a connection outlives; ticks tell of it. */
	for (int i = 0; i < 2; i++) {
		clock_set_us = (i ? 7200 : -7200) * USEC_PER_SEC;
		run_for(w, 200);
		assert_int_equal(w->far.hellos, 1);
	}
	clock_set_us = 0;
	for (unsigned i = 0; i < 2; i++) {
		clock_set_us += (i ? -3 : 30) * USEC_PER_SEC;
		run_until(w, w->far.hellos == 2 + i, 3000);
		assert_true(llabs(w->far.hello_wall_us - clock_wall_us()) < USEC_PER_SEC);
		run_until(w, is_streaming(w), 3000);
		run_for(w, 300); /* told once */
		assert_int_equal(w->far.hellos, 2 + i);
	}
	clock_set_us = 0;
}

static void expect_new_session(struct world *w)
{
	unsigned before = w->far.hellos;

	run_until(w, w->far.hellos > before, 3000);
	run_until(w, is_streaming(w), 3000);
}

static void unacceptable_frames_end_the_session_only(void **state)
{
	struct world *w = *state;
	static const uint8_t junk[] = {0xff, 0xff, 0xff, 0xff};
	struct buf b = BUF_INIT(4096);

	start(w);
	run_until(w, is_streaming(w), 5000);
	far_ack(&w->far, EPOCH, 5); /* never sent */
	expect_new_session(w);
	far_ack(&w->far, EPOCH + 1, 5); /* nor on this one */
	expect_new_session(w);
	far_ack(&w->far, EPOCH + 2, 0); /* another's stream */
	expect_new_session(w);
	assert_int_equal(conn_send(w->far.conn, FRAME_ACK, junk, sizeof(junk)), 0);
	expect_new_session(w);
	assert_int_equal(conn_send(w->far.conn, FRAME_COMMAND, junk, sizeof(junk)), 0);
	expect_new_session(w);
	assert_int_equal(conn_send(w->far.conn, FRAME_HELLO, NULL, 0), 0); /* our line */
	expect_new_session(w);
	wire_pack_command(&b, &(struct wire_command){.body = {junk, sizeof(junk)}});
	far_send(&w->far, FRAME_COMMAND, &b); /* well formed, of the wrong size */
	expect_new_session(w);
	produce(w);
	run_until(w, drained(w), 5000);
	assert_all_there(w);
}

static void unacceptable_answers_to_hello(void **state)
{
	struct world *w = *state;

	start(w);
	w->far.max_frame = 100;
	run_until(w, w->far.hellos == 2, 5000);
	w->far.max_frame = FRAME_MAX_PAYLOAD;
	w->far.heartbeat_ms = 0;
	run_until(w, w->far.hellos == 4, 5000);
	w->far.heartbeat_ms = 10000;
	w->far.max_bytes = 0;
	run_until(w, w->far.hellos == 6, 5000);
	w->far.max_bytes = 1 << 20;
	w->far.lie = true;
	run_until(w, w->far.hellos == 8, 5000);
	assert_false(is_streaming(w));
	w->far.lie = false;
	w->far.one_only = true;
	run_until(w, w->far.hellos == 10, 5000);
	w->far.one_only = false;
	run_until(w, is_streaming(w), 5000);
}

static void get_nowhere_as(struct world *w, enum identity id)
{
	char path[128];

	tls_ctx_free(&w->far.tls);
	unlink(in(w, CREDENTIALS_KEY, path));
	make_identity(w, id);
	start(w);
	produce(w);
	run_for(w, 400);
	assert_int_equal(w->far.hellos, 0);
	assert_false(is_streaming(w));
}

static void a_host_of_another_ca_gets_nowhere(void **state)
{
	struct world *w = *state;

	get_nowhere_as(w, FOREIGN);
	assert_true(w->far.accepts > 1);
}

static void an_expired_certificate_gets_nowhere(void **state)
{
	get_nowhere_as(*state, EXPIRED);
}

static void not_enrolled_waits_and_then_works(void **state)
{
	struct world *w = *state;
	char cert[128];
	char away[128];

	in(w, CREDENTIALS_CERT, cert);
	in(w, "away", away);
	assert_int_equal(rename(cert, away), 0);
	start(w);
	produce(w);
	run_for(w, 150);
	assert_int_equal(w->far.hellos, 0);
	assert_int_equal(rename(away, cert), 0); /* enrolled while it runs */
	run_until(w, drained(w), 5000);
	assert_all_there(w);
}

/* ---- sense misbehaves ---- */

static void nonsense_from_sense_ends_only_the_intake(void **state)
{
	struct world *w = *state;
	const struct record_head bad[] = {
		{.kind = 99},
		{.kind = RECORD_WANT_KEYFRAME},
		{.kind = RECORD_TICK, .len = RECORD_MAX_BODY + 1},
		{.kind = RECORD_TICK, .len = UINT32_MAX},
		{.kind = RECORD_EVENT, .flags = RECORD_KEYFRAME},
		{.kind = RECORD_SELF, .len = 3},
		{.kind = RECORD_KILL, .flags = RECORD_KEYFRAME, .len = 1},
		{.kind = RECORD_KILL},
		{.kind = RECORD_POSTURE},
		{.kind = WIRE_GAP, .len = 1},
	};

	start(w);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char byte;

		produce(w);
		assert_int_equal(send(w->sense, &bad[i], sizeof(bad[i]), 0), sizeof(bad[i]));
		/* our end was closed */
		run_until(w, recv(w->sense, &byte, 1, MSG_DONTWAIT) == 0, 3000);
		close(w->sense);
		attach(w);
		while (w->produced[LANE_SAMPLES] % 10)
			produce(w);
	}
	run_until(w, drained(w), 5000);
	assert_true(all_committed(w));
}

/* ---- commands ---- */

static void send_command_that(struct world *w, uint8_t id, bool dry_run)
{
	struct command c = {.id = {id},
			    .action = COMMAND_RESTART,
			    .dry_run = dry_run,
			    .pid = 812,
			    .start_ticks = 4711,
			    .issued_us = 1,
			    .expires_us = 2,
			    .counter = 1,
			    .actor = "test",
			    .reason = "test"};
	uint8_t body[COMMAND_SIZE];
	const uint8_t signature[64] = {7};
	struct buf b = BUF_INIT(4096);

	command_pack(body, &c);
	wire_pack_command(&b, &(struct wire_command){.body = {body, sizeof(body)},
						     .signature = {signature, 64}});
	far_send(&w->far, FRAME_COMMAND, &b);
}

static void send_command(struct world *w, uint8_t id)
{
	send_command_that(w, id, false);
}

static int listen_as_actd(struct world *w)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char path[128];
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(str_copy(at.sun_path, sizeof(at.sun_path), in(w, "actd.sock", path)));
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 32), 0);
	return fd;
}

/* Accepts the next connection that carries a request; probes of link's carry none. */
static int take_request(struct world *w, int listener, struct command_request *q)
{
	int64_t end = clock_boot_us() + 3000000;

	while (clock_boot_us() < end) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		turn(w);
		if (fd < 0)
			continue;
		for (int i = 0; i < 20; i++) {
			ssize_t n = recv(fd, q, sizeof(*q), 0);

			if (n == COMMAND_REQUEST_SIZE)
				return fd;
			if (n == 0)
				break;
			turn(w);
		}
		close(fd);
	}
	fail_msg("no request came");
	return -1;
}

static void commands_reach_actd_one_after_the_other(void **state)
{
	struct world *w = *state;
	int listener = listen_as_actd(w);
	struct command_request q;

	start(w);
	run_until(w, is_streaming(w), 5000);
	assert_true(w->far.act);
	send_command(w, 1);
	send_command(w, 2);
	for (uint8_t i = 1; i <= 2; i++) {
		struct command_result r = {.id = {i},
					   .status = COMMAND_DONE,
					   .rss_before = 100,
					   .rss_after = 50,
					   .detail = "trimmed",
					   .journal = {.last = i == 1 ? 0x100000002 : 0,
						       .records = i == 1 ? 2 : 0,
						       .head = {i == 1 ? 9 : 0}}};
		uint8_t out[COMMAND_RESULT_SIZE];
		struct command c;
		int fd = take_request(w, listener, &q);

		assert_int_equal(command_unpack(q.body, sizeof(q.body), &c, NULL), 0);
		assert_int_equal(c.id[0], i);
		assert_int_equal(q.signature[0], 7);
		command_result_pack(out, &r);
		assert_int_equal(send(fd, out, sizeof(out), 0), sizeof(out));
		close(fd);
		run_until(w, w->far.results == i, 3000);
		assert_int_equal(w->far.result.status, COMMAND_DONE);
		assert_int_equal(w->far.result.rss_after, 50);
		assert_int_equal(w->far.result.id[0], i);
		assert_memory_equal(&w->far.result.journal, &r.journal, sizeof(r.journal));
	}
	close(listener);
}

/* The next word of link to sense that is not a wish; false when there is none. */
static bool hears_action(struct world *w, struct record_action *ret)
{
	struct record_head h;

	while (recv(w->sense, &h, sizeof(h), MSG_DONTWAIT) == sizeof(h)) {
		if (h.kind == RECORD_WANT_KEYFRAME)
			continue;
		assert_int_equal(h.kind, RECORD_ACTION);
		assert_int_equal(h.len, sizeof(*ret));
		assert_int_equal(recv(w->sense, ret, sizeof(*ret), MSG_DONTWAIT), sizeof(*ret));
		return true;
	}
	return false;
}

static void answer_as_actd(int fd, uint8_t id, enum command_status status, int64_t rss_after)
{
	struct command_result r = {.id = {id},
				   .status = status,
				   .rss_before = -1,
				   .rss_after = rss_after};
	uint8_t out[COMMAND_RESULT_SIZE];

	command_result_pack(out, &r);
	assert_int_equal(send(fd, out, sizeof(out), 0), sizeof(out));
	close(fd);
}

/* How a process ends that memherd acts on must be no riddle: sense is told before actd is. */
static void sense_is_told_before_actd_and_when_nothing_was_done(void **state)
{
	static const struct {
		int64_t rss_after;
		enum command_status status;
		bool taken_back;
	} ends[] = {{50, COMMAND_DONE, false},    {-1, COMMAND_REFUSED, true},
		    {-1, COMMAND_FAILED, true},   {0, COMMAND_FAILED, false},
		    {-1, COMMAND_UNKNOWN, false}, {50, COMMAND_DONE, false}};
	struct world *w = *state;
	int listener = listen_as_actd(w);
	struct command_request q;
	struct record_action a;

	start(w);
	run_until(w, is_streaming(w), 5000);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		int fd;

		send_command(w, (uint8_t)(i + 1));
		fd = take_request(w, listener, &q);
		assert_true(hears_action(w, &a));
		assert_int_equal(a.id[0], i + 1);
		assert_int_equal(a.state, RECORD_ACTION_BEGINS);
		assert_int_equal(a.action, COMMAND_RESTART);
		assert_int_equal(a.pid, 812);
		assert_int_equal(a.start_ticks, 4711);
		assert_false(hears_action(w, &a));
		answer_as_actd(fd, (uint8_t)(i + 1), ends[i].status, ends[i].rss_after);
		run_until(w, w->far.results == i + 1u, 3000);
		assert_int_equal(hears_action(w, &a), ends[i].taken_back);
		if (ends[i].taken_back) {
			assert_int_equal(a.id[0], i + 1);
			assert_int_equal(a.state, RECORD_ACTION_OFF);
		}
	}
	close(listener);
}

static void a_dry_run_is_not_told_to_sense(void **state)
{
	struct world *w = *state;
	int listener = listen_as_actd(w);
	struct command_request q;
	struct record_action a;

	start(w);
	run_until(w, is_streaming(w), 5000);
	send_command_that(w, 1, true);
	answer_as_actd(take_request(w, listener, &q), 1, COMMAND_DRY_RUN, -1);
	run_until(w, w->far.results == 1, 3000);
	assert_false(hears_action(w, &a));
	close(listener);
}

/* memherd-actd may be started after the agent. */
static void heartbeats_say_whether_actd_is_there(void **state)
{
	struct world *w = *state;
	int listener;

	w->far.heartbeat_ms = 50;
	start(w);
	run_until(w, w->far.heartbeats >= 2, 5000);
	assert_false(w->far.beat_act);
	listener = listen_as_actd(w);
	run_until(w, w->far.beat_act, 2000);
	close(listener);
	run_until(w, !w->far.beat_act, 2000);
	assert_int_equal(w->far.hellos, 1);
}

static void without_actd_the_answer_is_unreachable(void **state)
{
	struct world *w = *state;

	start(w);
	run_until(w, is_streaming(w), 5000);
	assert_false(w->far.act);
	for (uint8_t i = 1; i <= 20; i++)
		send_command(w, i);
	run_until(w, w->far.results == 20, 3000);
	assert_int_equal(w->far.result.status, COMMAND_UNREACHABLE);
	assert_int_equal(w->far.result.id[0], 20);
	assert_int_equal(w->far.result.rss_before, -1);
}

static void an_actd_that_dies_leaves_unknown(void **state)
{
	struct world *w = *state;
	int listener = listen_as_actd(w);
	struct command_request q;

	start(w);
	run_until(w, is_streaming(w), 5000);
	send_command(w, 9);
	close(take_request(w, listener, &q));
	run_until(w, w->far.results == 1, 3000);
	assert_int_equal(w->far.result.status, COMMAND_UNKNOWN);
	assert_int_equal(w->far.result.id[0], 9);
	close(listener);
}

static void a_flood_of_commands_is_bounded(void **state)
{
	struct world *w = *state;
	int listener = listen_as_actd(w);

	start(w);
	run_until(w, is_streaming(w), 5000);
	for (uint8_t i = 1; i <= 30; i++)
		send_command(w, i);
	run_until(w, w->far.results == 14, 3000); /* 16 wait */
	assert_int_equal(w->far.result.status, COMMAND_FAILED);
	close(listener);
}

/* ---- the end ---- */

static void stopping_sends_what_is_left(void **state)
{
	struct world *w = *state;
	int64_t began;

	start(w);
	run_until(w, is_streaming(w), 5000);
	w->far.no_acks = false;
	for (int i = 0; i < 500; i++)
		produce(w);
	close(w->sense);
	w->sense = 0;
	began = clock_boot_us();
	link_stop(w->link);
	event_base_dispatch(w->base); /* leaves by itself */
	assert_true(clock_boot_us() - began < 3 * USEC_PER_SEC);
	assert_true(drained(w));
	assert_all_there(w);
}

static void stopping_without_a_collector_is_quick(void **state)
{
	struct world *w = *state;
	int64_t began;

	start(w);
	event_del(w->far.acceptable);
	close(w->far.listener);
	w->far.listener = open("/dev/null", O_RDONLY);
	produce(w);
	run_for(w, 50);
	close(w->sense);
	w->sense = 0;
	began = clock_boot_us();
	link_stop(w->link);
	event_base_dispatch(w->base);
	assert_true(clock_boot_us() - began < 2 * USEC_PER_SEC);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(records_arrive_in_order_and_are_freed),
		T(a_keyframe_is_asked_for_on_each_connection),
		T(nothing_is_lost_or_doubled_over_reconnects),
		T(the_grant_is_kept),
		T(a_record_larger_than_the_grant_goes_alone),
		T(an_outage_longer_than_the_spool_leaves_a_gap),
		T(a_kill_goes_before_the_backlog),
		T(a_kill_passes_samples_that_hold_the_grant),
		T(samples_never_displace_a_kill),
		T(goaway_says_when_to_come_back),
		T(a_silent_collector_is_left),
		T(a_boot_clock_that_is_off_is_told),
		T(unacceptable_frames_end_the_session_only),
		T(unacceptable_answers_to_hello),
		T(a_host_of_another_ca_gets_nowhere),
		T(an_expired_certificate_gets_nowhere),
		T(not_enrolled_waits_and_then_works),
		T(nonsense_from_sense_ends_only_the_intake),
		T(commands_reach_actd_one_after_the_other),
		T(sense_is_told_before_actd_and_when_nothing_was_done),
		T(a_dry_run_is_not_told_to_sense),
		T(heartbeats_say_whether_actd_is_there),
		T(without_actd_the_answer_is_unreachable),
		T(an_actd_that_dies_leaves_unknown),
		T(a_flood_of_commands_is_bounded),
		T(stopping_sends_what_is_left),
		T(stopping_without_a_collector_is_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
