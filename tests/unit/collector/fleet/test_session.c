/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=store_stream_open,--wrap=ingest_open,--wrap=ingest_batch,--wrap=store_hurry
#include "collector/fleet/session.h"

#include <errno.h>

#include "proto/command.h"
#include "tests/support/test.h"
#include "tests/unit/collector/fleet/site.h"

#define HOST_ID 7
#define EPOCH   99u
#define STREAMS 2

/* What a host's Hello lists, and what of it is stored. */
static const uint64_t epochs[STREAMS] = {98, EPOCH};
static const int64_t stored[STREAMS] = {3, 41};

/* The store and ingest as sessions see them. */
static struct fake {
	int open_rc; /* of asking */
	int answer_rc;
	store_on_stream *done;
	void *arg;
	uint64_t opened[STREAMS]; /* last numbers told to ingest */
	int ingest_rc;
	unsigned batches;
	unsigned hurries;
	size_t batch_len;
} fake;

static void answer(void)
{
	store_on_stream *done = fake.done;
	const struct error err = {"database away"};

	fake.done = NULL;
	if (done)
		done(fake.arg, fake.answer_rc, 5, stored, STREAMS, &err);
}

int __wrap_store_stream_open(struct store *s unused_arg, int32_t host_id,
			     const struct wire_epoch *asked, size_t n, store_on_stream *done,
			     void *arg)
{
	assert_int_equal(host_id, HOST_ID);
	assert_int_equal(n, STREAMS);
	for (size_t i = 0; i < STREAMS; i++)
		assert_int_equal(asked[i].epoch, epochs[i]);
	if (fake.open_rc)
		return fake.open_rc;
	fake.done = done;
	fake.arg = arg;
	return 0;
}

int __wrap_ingest_open(struct ingest *in unused_arg, struct host *h unused_arg, uint64_t epoch,
		       uint64_t committed, int64_t conn)
{
	assert_true(epoch == epochs[0] || epoch == epochs[1]);
	assert_int_equal(conn, 5);
	fake.opened[epoch == epochs[1]] = committed;
	return 0;
}

int __wrap_ingest_batch(struct ingest *in unused_arg, struct host *h unused_arg,
			const uint8_t *payload unused_arg, size_t len, struct error *err)
{
	if (fake.ingest_rc)
		return error_set(err, fake.ingest_rc, "ingest says no");
	fake.batches++;
	fake.batch_len = len;
	return 0;
}

void __wrap_store_hurry(struct store *s unused_arg, int32_t host_id)
{
	assert_int_equal(host_id, HOST_ID);
	fake.hurries++;
}

struct world {
	struct event_base *base;
	struct registry registry;
	struct host *host;
	struct tls_ctx *server_tls, *known_tls, *unknown_tls;
	struct sessions *all;
	struct listener *listener;
	struct client client, second;
	unsigned hellos, ups, downs, results;
	uint8_t result[COMMAND_RESULT_SIZE];
};

static void on_hello(void *arg, struct host *h, const struct wire_hello *m)
{
	assert_int_equal(h->host_id, HOST_ID);
	assert_string_equal(m->host_name, "web-1");
	((struct world *)arg)->hellos++;
}

static void on_connected(void *arg, struct host *h)
{
	assert_true(h->connected);
	((struct world *)arg)->ups++;
}

static void on_disconnected(void *arg, struct host *h)
{
	assert_false(h->connected);
	((struct world *)arg)->downs++;
}

static void on_result(void *arg, struct host *h unused_arg, const uint8_t *body, size_t len)
{
	struct world *w = arg;

	assert_true(len <= sizeof(w->result));
	memcpy(w->result, body, len);
	w->results++;
}

static const struct sessions_ops ops = {.on_hello = on_hello,
					.on_connected = on_connected,
					.on_disconnected = on_disconnected,
					.on_result = on_result};

static int set_up(void **state)
{
	const struct listener_limits limits = {1000, 100, 100};
	struct world *w = calloc(1, sizeof(*w));
	struct error err = {""};

	fake = (struct fake){0};
	w->base = event_base_new();
	registry_init(&w->registry);
	w->host = registry_host(&w->registry, HOST_ID, known_uuid, "old-name");
	w->server_tls = make_ctx(TLS_STREAM_SERVER, "server");
	w->known_tls = make_ctx(TLS_STREAM_CLIENT, "known");
	w->unknown_tls = make_ctx(TLS_STREAM_CLIENT, "unknown");
	assert_int_equal(sessions_new(w->base, w->server_tls, &w->registry, NULL, NULL, &ops, w,
				      &w->all),
			 0);
	assert_int_equal(listener_new(w->base, "127.0.0.1:0", &limits, sessions_accept, w->all,
				      &w->listener, &err),
			 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	client_fini(&w->client);
	client_fini(&w->second);
	/* An answer that comes after the sessions' end is the store's to prevent. */
	answer();
	sessions_free(&w->all);
	listener_free(&w->listener);
	tls_ctx_free(&w->server_tls);
	tls_ctx_free(&w->known_tls);
	tls_ctx_free(&w->unknown_tls);
	registry_fini(&w->registry);
	event_base_free(w->base);
	free(w);
	return 0;
}

static void connect_as(struct world *w, struct client *k, struct tls_ctx *tls)
{
	client_connect(k, w->base, tls, listener_port(w->listener));
	RUN_UNTIL(w->base, k->opened);
}

static void say_hello(struct client *k, uint32_t proto)
{
	struct wire_epoch held[STREAMS] = {{epochs[0], 1, 5}, {epochs[1], 1, 50}};
	const struct wire_hello m = {.proto_min = proto,
				     .proto_max = proto,
				     .version = "1",
				     .host_name = "web-1",
				     .kernel = "6.1",
				     .page_size = 4096,
				     .clock_ticks = 100,
				     .interval_ms = 10000,
				     .cpus = 2,
				     .t_wall_us = clock_wall_us() + 100 * USEC_PER_SEC,
				     .t_boot_us = 500 * USEC_PER_SEC,
				     .epochs = held,
				     .n_epochs = STREAMS};
	auto_buf struct buf b = BUF_INIT(4096);

	wire_pack_hello(&b, &m);
	client_send(k, FRAME_HELLO, &b);
}

static void open_stream(struct world *w, struct client *k)
{
	connect_as(w, k, w->known_tls);
	say_hello(k, WIRE_PROTO);
	RUN_UNTIL(w->base, fake.done);
	answer();
	RUN_UNTIL(w->base, k->frames == 1);
	assert_int_equal(k->type, FRAME_HELLO_ACK);
}

/* The client is sent away with this reason, and then the connection ends. */
static void assert_sent_away(struct world *w, struct client *k, enum wire_goaway_reason reason)
{
	auto_arena struct arena a;
	struct wire_goaway g;
	struct error err = {""};

	arena_init(&a, 65536);
	RUN_UNTIL(w->base, !k->c);
	assert_int_equal(k->type, FRAME_GO_AWAY);
	assert_int_equal(wire_unpack_goaway(&a, k->last.data, k->last.len, &g, &err), 0);
	assert_int_equal(g.reason, reason);
	assert_true(g.retry_min_ms >= 500 && g.retry_max_ms > g.retry_min_ms);
}

static void send_text(struct client *k, enum frame_type type, const char *text)
{
	auto_buf struct buf b = BUF_INIT(1024);

	buf_puts(&b, text);
	client_send(k, type, &b);
}

static void a_greeting_opens_all_its_streams(void **state)
{
	struct world *w = *state;
	auto_arena struct arena a;
	struct wire_hello_ack m;
	struct error err = {""};

	arena_init(&a, 65536);
	open_stream(w, &w->client);
	assert_int_equal(wire_unpack_hello_ack(&a, w->client.last.data, w->client.last.len, &m,
					       &err),
			 0);
	assert_int_equal(m.proto, WIRE_PROTO);
	assert_int_equal(m.heartbeat_ms, SESSION_HEARTBEAT_MS);
	assert_int_equal(m.n_epochs, STREAMS);
	for (size_t i = 0; i < STREAMS; i++) {
		assert_int_equal(m.epochs[i].epoch, epochs[i]);
		assert_int_equal(m.epochs[i].seq_max, stored[i]);
		assert_int_equal(fake.opened[i], stored[i]);
	}
	assert_true(w->host->connected);
	assert_string_equal(w->host->name, "web-1");
	assert_int_equal(w->hellos + w->ups, 2);
	assert_true(w->host->skew_us > 99 * USEC_PER_SEC && w->host->skew_us <= 100 * USEC_PER_SEC);
	assert_memory_equal(w->host->clock.boot_id, w->host->boot_id, 16);
	assert_true(llabs(clock_wall_us() - 500 * USEC_PER_SEC - w->host->clock.apart_us) <
		    60 * USEC_PER_SEC);
	assert_int_equal(sessions_stats(w->all)->connected, 1);
	conn_close(w->client.c, "done");
	RUN_UNTIL(w->base, w->downs == 1);
	assert_false(w->host->connected);
	assert_int_equal(sessions_stats(w->all)->connected, 0);
}

static void what_is_no_greeting_is_refused(void **state)
{
	struct world *w = *state;

	connect_as(w, &w->client, w->known_tls);
	send_text(&w->client, FRAME_BATCH, "x");
	assert_sent_away(w, &w->client, WIRE_GOAWAY_PROTOCOL);
	connect_as(w, &w->client, w->known_tls);
	send_text(&w->client, FRAME_HELLO, "\xff\xff");
	assert_sent_away(w, &w->client, WIRE_GOAWAY_PROTOCOL);
	assert_int_equal(sessions_stats(w->all)->refused, 2);
	assert_int_equal(w->hellos, 0);
}

static void another_version_is_told(void **state)
{
	struct world *w = *state;

	connect_as(w, &w->client, w->known_tls);
	say_hello(&w->client, WIRE_PROTO + 1);
	assert_sent_away(w, &w->client, WIRE_GOAWAY_VERSION);
}

static void a_strangers_certificate_is_told(void **state)
{
	struct world *w = *state;

	connect_as(w, &w->client, w->unknown_tls);
	assert_sent_away(w, &w->client, WIRE_GOAWAY_UNKNOWN_HOST);
}

static void who_speaks_before_the_answer_is_refused(void **state)
{
	struct world *w = *state;

	connect_as(w, &w->client, w->known_tls);
	say_hello(&w->client, WIRE_PROTO);
	send_text(&w->client, FRAME_BATCH, "x");
	assert_sent_away(w, &w->client, WIRE_GOAWAY_PROTOCOL);
	answer(); /* comes too late and finds nobody */
	run_for(w->base, 20);
	assert_int_equal(w->ups, 0);
}

static void without_a_database_the_agent_comes_again(void **state)
{
	struct world *w = *state;

	fake.open_rc = -ENOTCONN;
	connect_as(w, &w->client, w->known_tls);
	say_hello(&w->client, WIRE_PROTO);
	assert_sent_away(w, &w->client, WIRE_GOAWAY_BUSY);
	fake.open_rc = 0;
	fake.answer_rc = -EPIPE;
	connect_as(w, &w->client, w->known_tls);
	say_hello(&w->client, WIRE_PROTO);
	RUN_UNTIL(w->base, fake.done);
	answer();
	assert_sent_away(w, &w->client, WIRE_GOAWAY_BUSY);
}

static void a_second_connection_replaces_the_first(void **state)
{
	struct world *w = *state;

	open_stream(w, &w->client);
	open_stream(w, &w->second);
	assert_sent_away(w, &w->client, WIRE_GOAWAY_DUPLICATE);
	run_for(w->base, 20);
	assert_non_null(w->second.c);
	assert_true(w->host->connected);
	assert_int_equal(sessions_stats(w->all)->connected, 1);
	sessions_ack(w->all, HOST_ID, EPOCH, 42);
	RUN_UNTIL(w->base, w->second.acks == 1);
}

static void a_batch_is_acknowledged_when_it_is_stored(void **state)
{
	struct world *w = *state;
	auto_arena struct arena a;
	struct wire_ack m;
	struct error err = {""};

	arena_init(&a, 65536);
	open_stream(w, &w->client);
	send_text(&w->client, FRAME_BATCH, "batch");
	RUN_UNTIL(w->base, fake.batches == 1);
	assert_int_equal(fake.batch_len, 5);
	run_for(w->base, 20);
	assert_int_equal(w->client.acks, 0);
	sessions_ack(w->all, HOST_ID, EPOCH, 43);
	RUN_UNTIL(w->base, w->client.acks == 1);
	assert_int_equal(wire_unpack_ack(&a, w->client.last.data, w->client.last.len, &m, &err), 0);
	assert_true(m.epoch == EPOCH && m.seq == 43);
	sessions_ack(w->all, HOST_ID, epochs[0], 4); /* the other stream, behind it in time */
	RUN_UNTIL(w->base, w->client.acks == 2);
	assert_int_equal(wire_unpack_ack(&a, w->client.last.data, w->client.last.len, &m, &err), 0);
	assert_true(m.epoch == epochs[0] && m.seq == 4);
	sessions_ack(w->all, HOST_ID + 1, EPOCH, 43); /* a host that is not there */
}

static void a_bad_batch_ends_the_connection(void **state)
{
	struct world *w = *state;

	open_stream(w, &w->client);
	fake.ingest_rc = -EPROTO;
	send_text(&w->client, FRAME_BATCH, "batch");
	assert_sent_away(w, &w->client, WIRE_GOAWAY_PROTOCOL);
	RUN_UNTIL(w->base, w->downs == 1);
}

/* The store is full: the batch is kept, reading stops, silence is no reason to hang up. */
static void a_full_store_holds_the_agent_back(void **state)
{
	struct world *w = *state;

	open_stream(w, &w->client);
	sessions_hasten(w->all, 4); /* dead after 180 ms */
	fake.ingest_rc = -ENOBUFS;
	send_text(&w->client, FRAME_BATCH, "first");
	send_text(&w->client, FRAME_BATCH, "second one");
	run_for(w->base, 500);
	assert_non_null(w->client.c);
	sessions_resume(w->all); /* still full */
	run_for(w->base, 20);
	assert_int_equal(fake.batches, 0);
	fake.ingest_rc = 0;
	sessions_resume(w->all);
	assert_int_equal(fake.batches, 1);
	assert_int_equal(fake.batch_len, 5);
	RUN_UNTIL(w->base, fake.batches == 2);
	assert_int_equal(fake.batch_len, 10);
}

static void a_paused_agent_may_leave(void **state)
{
	struct world *w = *state;

	open_stream(w, &w->client);
	fake.ingest_rc = -ENOBUFS;
	send_text(&w->client, FRAME_BATCH, "first");
	run_for(w->base, 20);
	open_stream(w, &w->second); /* it came again elsewhere */
	sessions_resume(w->all);
	RUN_UNTIL(w->base, !w->client.c);
	assert_int_equal(fake.batches, 0);
	assert_int_equal(sessions_stats(w->all)->connected, 1);
}

static void commands_go_down_and_results_come_up(void **state)
{
	struct world *w = *state;
	auto_arena struct arena a;
	auto_buf struct buf b = BUF_INIT(1024);
	uint8_t whole[COMMAND_RESULT_SIZE], body[COMMAND_RESULT_SIZE], journal[COMMAND_SPAN_SIZE];
	struct wire_command m;
	struct error err = {""};
	struct command_request q = {.body = "body",
				    .signature = {1},
				    .warrant = {.signature = {9}}};

	arena_init(&a, 65536);
	assert_int_equal(sessions_send_command(w->all, HOST_ID, &q), -ENOTCONN);
	open_stream(w, &w->client);
	assert_int_equal(sessions_send_command(w->all, HOST_ID, &q), 0);
	RUN_UNTIL(w->base, w->client.type == FRAME_COMMAND);
	assert_int_equal(wire_unpack_command(&a, w->client.last.data, w->client.last.len, &m, &err),
			 0);
	assert_int_equal(m.body.len, sizeof(q.body));
	assert_memory_equal(m.body.data, "body", 4);
	assert_int_equal(m.warrant.len, 0);
	q.has_warrant = true;
	w->client.type = 0;
	assert_int_equal(sessions_send_command(w->all, HOST_ID, &q), 0);
	RUN_UNTIL(w->base, w->client.type == FRAME_COMMAND);
	assert_int_equal(wire_unpack_command(&a, w->client.last.data, w->client.last.len, &m, &err),
			 0);
	assert_int_equal(m.warrant.len, sizeof(q.warrant));
	assert_memory_equal(m.warrant.data, &q.warrant, sizeof(q.warrant));
	/* an agent before 0.2 */
	wire_pack_command(&b, &(struct wire_command){.body = {(const uint8_t *)"result", 6}});
	client_send(&w->client, FRAME_COMMAND_RESULT, &b);
	RUN_UNTIL(w->base, w->results == 1);
	assert_memory_equal(w->result, "result", 6);
	/* and one that tells where its host's journal stands: both come as one */
	command_result_pack(whole, &(struct command_result){.status = COMMAND_DONE,
							    .journal = {.last = 7, .records = 2}});
	memcpy(body, whole, sizeof(body));
	assert_true(command_result_split(body, journal));
	buf_reset(&b);
	wire_pack_command_result(&b, &(struct wire_command_result){{body, sizeof(body)},
								   {journal, sizeof(journal)}});
	client_send(&w->client, FRAME_COMMAND_RESULT, &b);
	RUN_UNTIL(w->base, w->results == 2);
	assert_memory_equal(w->result, whole, sizeof(whole));
}

static void a_heartbeat_is_echoed_and_believed(void **state)
{
	struct world *w = *state;
	auto_buf struct buf b = BUF_INIT(256);

	open_stream(w, &w->client);
	assert_false(w->host->act);
	wire_pack_heartbeat(&b, &(struct wire_heartbeat){.t_wall_us = 1,
							 .rss_bytes = 4096,
							 .cpu_us = 7,
							 .act = true});
	client_send(&w->client, FRAME_HEARTBEAT, &b);
	RUN_UNTIL(w->base, w->client.heartbeats == 1);
	assert_int_equal(w->host->agent_rss_bytes, 4096);
	/* memherd-actd was started after the agent. */
	assert_true(w->host->act);
	/* It waits for its acknowledgements. */
	assert_int_equal(fake.hurries, 0);
	buf_reset(&b);
	wire_pack_heartbeat(&b, &(struct wire_heartbeat){.t_wall_us = 1, .leaving = true});
	client_send(&w->client, FRAME_HEARTBEAT, &b);
	RUN_UNTIL(w->base, w->client.heartbeats == 2);
	assert_int_equal(fake.hurries, 1);
	send_text(&w->client, FRAME_HEARTBEAT, "\xff");
	assert_sent_away(w, &w->client, WIRE_GOAWAY_PROTOCOL);
}

static void what_only_the_collector_sends_is_refused(void **state)
{
	struct world *w = *state;

	open_stream(w, &w->client);
	send_text(&w->client, FRAME_ACK, "x");
	assert_sent_away(w, &w->client, WIRE_GOAWAY_PROTOCOL);
}

static void silence_has_its_end_in_each_state(void **state)
{
	struct world *w = *state;

	sessions_hasten(w->all, 4);
	connect_as(w, &w->client, w->known_tls); /* 20 ms for a greeting */
	RUN_UNTIL(w->base, !w->client.c);
	connect_as(w, &w->client, w->known_tls);
	say_hello(&w->client, WIRE_PROTO); /* 120 ms for the store */
	RUN_UNTIL(w->base, !w->client.c);
	answer();
	sessions_hasten(w->all, 10);
	open_stream(w, &w->client); /* 450 ms for a frame */
	RUN_UNTIL(w->base, !w->client.c);
	RUN_UNTIL(w->base, w->downs > 0 && !w->host->connected);
}

static void a_removed_host_is_told(void **state)
{
	struct world *w = *state;

	open_stream(w, &w->client);
	registry_remove_host(&w->registry, HOST_ID);
	send_text(&w->client, FRAME_BATCH, "x");
	assert_sent_away(w, &w->client, WIRE_GOAWAY_UNKNOWN_HOST);
	run_for(w->base, 20);
	assert_int_equal(w->downs, 0); /* there is no host left to speak of */
}

static void all_hear_that_we_stop(void **state)
{
	struct world *w = *state;

	open_stream(w, &w->client);
	listener_stop(w->listener);
	sessions_goodbye(w->all);
	assert_sent_away(w, &w->client, WIRE_GOAWAY_SHUTDOWN);
	RUN_UNTIL(w->base, w->downs == 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_greeting_opens_all_its_streams),
		TEST(what_is_no_greeting_is_refused),
		TEST(another_version_is_told),
		TEST(a_strangers_certificate_is_told),
		TEST(who_speaks_before_the_answer_is_refused),
		TEST(without_a_database_the_agent_comes_again),
		TEST(a_second_connection_replaces_the_first),
		TEST(a_batch_is_acknowledged_when_it_is_stored),
		TEST(a_bad_batch_ends_the_connection),
		TEST(a_full_store_holds_the_agent_back),
		TEST(a_paused_agent_may_leave),
		TEST(commands_go_down_and_results_come_up),
		TEST(a_heartbeat_is_echoed_and_believed),
		TEST(what_only_the_collector_sends_is_refused),
		TEST(silence_has_its_end_in_each_state),
		TEST(a_removed_host_is_told),
		TEST(all_hear_that_we_stop),
	};

	return cmocka_run_group_tests(tests, make_site, remove_site);
}
