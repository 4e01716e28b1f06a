/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "common/fs.h"
#include "common/tls.h"
#include "common/tls_ca.h"
#include "tests/support/test.h"

#define OUT_MAX (1u << 20)

/* Certificates are made once for all tests: ours and a stranger's. */
static struct site {
	char dir[80];
	struct tls_ca *ca;
} ours, strangers;

static const uint8_t uuid[16] = {0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static const char *in(const struct site *s, const char *name)
{
	static char paths[8][PATH_MAX];
	static unsigned n;
	char *p = paths[n++ % 8];

	snprintf(p, PATH_MAX, "%s/%s", s->dir, name);
	return p;
}

static void make_host(struct site *s, const char *key, const char *cert, int64_t from, int64_t life)
{
	auto_buf struct buf csr = BUF_INIT(4096), pem = BUF_INIT(16384);
	struct error err = {""};

	assert_int_equal(tls_make_csr(in(s, key), "vps-1", &csr, &err), 0);
	assert_int_equal(tls_ca_issue(s->ca, csr.data, csr.len, uuid, from, life, &pem, &err), 0);
	assert_int_equal(fs_write(in(s, cert), 0644, pem.data, pem.len, &err), 0);
}

static void make_site(struct site *s)
{
	struct error err = {""};

	strcpy(s->dir, "/tmp/memherd-test-conn-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	assert_int_equal(tls_ca_open(s->dir, &s->ca, &err), 0);
	assert_int_equal(tls_ca_server(s->ca, s->dir, &err), 0);
	make_host(s, "host.key", "host.pem", time(NULL) - 60, 3600);
	make_host(s, "old.key", "old.pem", time(NULL) - 7200, 3600);
}

static int on_remove(const char *path, const struct stat *st unused_arg, int flag unused_arg,
		     struct FTW *ftw unused_arg)
{
	return remove(path);
}

static int set_up_all(void **state unused_arg)
{
	make_site(&ours);
	make_site(&strangers);
	return 0;
}

static int tear_down_all(void **state unused_arg)
{
	tls_ca_free(&ours.ca);
	tls_ca_free(&strangers.ca);
	nftw(ours.dir, on_remove, 8, FTW_DEPTH | FTW_PHYS);
	nftw(strangers.dir, on_remove, 8, FTW_DEPTH | FTW_PHYS);
	return 0;
}

/* ---- one end of a connection, and what it was told ---- */

struct pair;

struct end {
	struct pair *pair;
	struct conn *c;
	unsigned opened, closed, frames, drained;
	char why[300];
	struct buf last;
	enum frame_type last_type;
	bool echo;
	bool close_on_frame;
	bool free_on_frame;
	bool inside; /* the test is inside conn_send or conn_close */
};

struct pair {
	struct event_base *base;
	struct tls_ctx *server_tls, *client_tls;
	struct end server, client;
};

static void on_open(void *arg, struct conn *c unused_arg)
{
	struct end *e = arg;

	assert_false(e->inside);
	e->opened++;
}

static void on_frame(void *arg, struct conn *c, const struct frame *f)
{
	struct end *e = arg;

	assert_false(e->inside);
	assert_int_equal(e->closed, 0);
	e->frames++;
	e->last_type = f->type;
	buf_reset(&e->last);
	buf_put(&e->last, f->payload, f->len);
	if (e->echo)
		assert_int_equal(conn_send(c, f->type, f->payload, f->len), 0);
	if (e->close_on_frame)
		conn_close(c, "enough");
	if (e->free_on_frame)
		conn_free(&e->c);
}

static void on_close(void *arg, struct conn *c unused_arg, const char *why)
{
	struct end *e = arg;

	assert_false(e->inside);
	e->closed++;
	e->c = NULL;
	snprintf(e->why, sizeof(e->why), "%s", why);
}

static void on_drain(void *arg, struct conn *c unused_arg)
{
	struct end *e = arg;

	assert_false(e->inside);
	e->drained++;
}

static const struct conn_ops ops = {on_open, on_frame, on_close, on_drain};

static struct tls_ctx *context(enum tls_role role, const struct site *s, const char *cert,
			       const char *key)
{
	struct tls_files files = {in(s, "ca.pem"), in(s, cert), in(s, key), NULL};
	struct error err = {""};
	struct tls_ctx *ctx = NULL;

	if (tls_ctx_new(role, &files, &ctx, &err) < 0)
		fail_msg("%s", err.msg);
	return ctx;
}

static void loopback(int fds[2])
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(sin);
	auto_close int l = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(l, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&sin, &len), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&sin, len), 0);
	fds[1] = accept(l, NULL, NULL);
	assert_true(fds[1] >= 0);
}

/* A client that goes on from a connected socket would need a function that only tests use; the
 * real one connects, so a listener is raced by one accept. */
static void connect_pair(struct pair *p)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(sin);
	auto_close int l = socket(AF_INET, SOCK_STREAM, 0);
	struct error err = {""};

	p->base = event_base_new();
	p->server.pair = p->client.pair = p;
	p->server.last = p->client.last = BUF_INIT(FRAME_MAX_PAYLOAD);
	assert_int_equal(bind(l, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&sin, &len), 0);
	if (conn_connect(p->base, p->client_tls, "127.0.0.1", ntohs(sin.sin_port), OUT_MAX, &ops,
			 &p->client, &p->client.c, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(conn_accept(p->base, p->server_tls, accept(l, NULL, NULL), OUT_MAX, &ops,
				     &p->server, &p->server.c, &err),
			 0);
}

static void pair_init(struct pair *p)
{
	*p = (struct pair){0};
	p->server_tls = context(TLS_STREAM_SERVER, &ours, "server.pem", "server.key");
	p->client_tls = context(TLS_STREAM_CLIENT, &ours, "host.pem", "host.key");
}

static void pair_fini(struct pair *p)
{
	conn_free(&p->server.c);
	conn_free(&p->client.c);
	tls_ctx_free(&p->server_tls);
	tls_ctx_free(&p->client_tls);
	event_base_free(p->base);
	buf_fini(&p->server.last);
	buf_fini(&p->client.last);
}

static void on_tick(evutil_socket_t fd unused_arg, short what unused_arg, void *arg unused_arg)
{
}

/* Runs the loop until the condition holds; fails after five seconds. */
#define UNTIL(p, condition)                                                                 \
	do {                                                                                \
		const struct timeval tick_ = {0, 10000};                                    \
		struct event *t_ = event_new((p)->base, -1, EV_PERSIST, on_tick, NULL);     \
		time_t end_ = time(NULL) + 5;                                               \
                                                                                            \
		event_add(t_, &tick_);                                                      \
		while (!(condition) && time(NULL) <= end_)                                  \
			event_base_loop((p)->base, EVLOOP_ONCE);                            \
		event_free(t_);                                                             \
		if (!(condition))                                                           \
			fail_msg("'%s' did not come; server '%s', client '%s'", #condition, \
				 (p)->server.why, (p)->client.why);                         \
	} while (0)

static void open_pair(struct pair *p)
{
	pair_init(p);
	connect_pair(p);
	UNTIL(p, p->server.opened && p->client.opened);
	conn_max_payload(p->server.c, FRAME_MAX_PAYLOAD);
	conn_max_payload(p->client.c, FRAME_MAX_PAYLOAD);
}

#define SEND(e, type, data, len)                          \
	(__extension__({                                  \
		int rc_;                                  \
		(e)->inside = true;                       \
		rc_ = conn_send((e)->c, type, data, len); \
		(e)->inside = false;                      \
		rc_;                                      \
	}))

/* ---- tests ---- */

static void frames_of_any_size_go_both_ways(void **state unused_arg)
{
	static const size_t sizes[] = {0,     1,     5,     6,      100,    4096,  16383,
				       16384, 16385, 65536, 200000, 262143, 262144};
	uint8_t *data = malloc(FRAME_MAX_PAYLOAD);
	struct pair p;

	for (size_t i = 0; i < FRAME_MAX_PAYLOAD; i++)
		data[i] = (uint8_t)(i * 31 + i / 251);
	open_pair(&p);
	p.server.echo = true;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(SEND(&p.client, FRAME_BATCH, data, sizes[i]), 0);
		UNTIL(&p, p.client.frames == i + 1);
		assert_int_equal(p.client.last.len, sizes[i]);
		assert_int_equal(p.client.last_type, FRAME_BATCH);
		if (sizes[i])
			assert_memory_equal(p.client.last.data, data, sizes[i]);
	}
	free(data);
	pair_fini(&p);
}

static void many_frames_keep_their_order(void **state unused_arg)
{
	struct pair p;

	open_pair(&p);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(SEND(&p.client, FRAME_HEARTBEAT, &i, sizeof(i)), 0);
	UNTIL(&p, p.server.frames == 1000);
	assert_int_equal(*(uint32_t *)(void *)p.server.last.data, 999);
	pair_fini(&p);
}

static void the_host_is_read_from_the_certificate(void **state unused_arg)
{
	uint8_t got[16];
	struct pair p;

	open_pair(&p);
	assert_int_equal(conn_peer_host(p.server.c, got), 0);
	assert_memory_equal(got, uuid, 16);
	assert_int_equal(conn_peer_host(p.client.c, got), -ENOENT);
	assert_memory_equal(conn_peer_name(p.server.c), "127.0.0.1:", 10);
	pair_fini(&p);
}

static void close_flushes_and_says_goodbye(void **state unused_arg)
{
	static const uint8_t data[200000];
	struct pair p;

	open_pair(&p);
	assert_int_equal(SEND(&p.server, FRAME_GO_AWAY, data, sizeof(data)), 0);
	/* The client talks on: its bytes must not make TCP drop the goodbye. */
	assert_int_equal(SEND(&p.client, FRAME_BATCH, data, sizeof(data)), 0);
	p.server.inside = true;
	conn_close(p.server.c, "shutting down");
	conn_close(p.server.c, "not this");
	p.server.inside = false;
	assert_int_equal(SEND(&p.server, FRAME_ACK, NULL, 0), -ENOTCONN);
	UNTIL(&p, p.client.closed && p.server.closed);
	assert_int_equal(p.client.frames, 1);
	assert_int_equal(p.client.last.len, sizeof(data));
	assert_string_equal(p.client.why, "peer closed");
	assert_string_equal(p.server.why, "shutting down");
	pair_fini(&p);
}

static void a_callback_may_close_or_free(void **state unused_arg)
{
	struct pair p;

	open_pair(&p);
	p.server.close_on_frame = true;
	for (int i = 0; i < 10; i++)
		assert_int_equal(SEND(&p.client, FRAME_ACK, "x", 1), 0);
	UNTIL(&p, p.server.closed && p.client.closed);
	assert_int_equal(p.server.frames, 1);
	assert_string_equal(p.server.why, "enough");
	pair_fini(&p);
	open_pair(&p);
	p.server.free_on_frame = true;
	for (int i = 0; i < 10; i++)
		assert_int_equal(SEND(&p.client, FRAME_ACK, "x", 1), 0);
	UNTIL(&p, p.client.closed);
	assert_int_equal(p.server.frames, 1);
	assert_int_equal(p.server.closed, 0);
	pair_fini(&p);
}

static void oversized_and_unknown_frames_end_it(void **state unused_arg)
{
	struct pair p;
	static const uint8_t data[FRAME_MAX_GREETING + 1];

	open_pair(&p);
	conn_max_payload(p.server.c, FRAME_MAX_GREETING);
	assert_int_equal(SEND(&p.client, FRAME_HELLO, data, sizeof(data)), 0);
	UNTIL(&p, p.server.closed && p.client.closed);
	assert_string_equal(p.server.why, "frame: HELLO payload of 4097 bytes exceeds 4096");
	assert_int_equal(p.server.frames, 0);
	pair_fini(&p);
	open_pair(&p);
	assert_int_equal(SEND(&p.client, (enum frame_type)99, "x", 1), 0);
	UNTIL(&p, p.server.closed);
	assert_string_equal(p.server.why, "frame: unknown type 99");
	pair_fini(&p);
	open_pair(&p);
	assert_int_equal(SEND(&p.client, FRAME_ACK, data, FRAME_MAX_PAYLOAD + 1), -EMSGSIZE);
	pair_fini(&p);
}

static void output_is_bounded_and_draining_is_told(void **state unused_arg)
{
	static const uint8_t data[100000];
	struct pair p;
	int rc, sent = 0;

	open_pair(&p);
	conn_pause(p.server.c, true);
	while ((rc = SEND(&p.client, FRAME_BATCH, data, sizeof(data))) == 0 && sent < 1000) {
		sent++;
		event_base_loop(p.base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(rc, -ENOBUFS);
	assert_true(conn_unsent(p.client.c) <= OUT_MAX);
	assert_int_equal(p.server.frames, 0);
	assert_int_equal(p.client.drained, 0);
	conn_pause(p.server.c, false);
	UNTIL(&p, (int)p.server.frames == sent);
	UNTIL(&p, p.client.drained == 1);
	pair_fini(&p);
}

static void frames_before_the_end_are_read(void **state unused_arg)
{
	struct pair p;

	open_pair(&p);
	for (int i = 0; i < 500; i++)
		assert_int_equal(SEND(&p.client, FRAME_ACK, "x", 1), 0);
	conn_close(p.client.c, "done");
	UNTIL(&p, p.server.closed);
	assert_int_equal(p.server.frames, 500);
	assert_string_equal(p.server.why, "peer closed");
	pair_fini(&p);
}

/* ---- who may not come in ---- */

static void expect_refusal(struct pair *p, const char *server_says, const char *client_says)
{
	connect_pair(p);
	UNTIL(p, p->server.closed && p->client.closed);
	if (!strstr(p->server.why, server_says) || !strstr(p->client.why, client_says))
		fail_msg("server '%s', client '%s'", p->server.why, p->client.why);
	assert_int_equal(p->server.frames, 0);
	assert_int_equal(p->server.opened, 0);
	pair_fini(p);
}

static void foreign_hosts_are_refused(void **state unused_arg)
{
	struct pair p = {0};

	p.server_tls = context(TLS_STREAM_SERVER, &ours, "server.pem", "server.key");
	p.client_tls = context(TLS_STREAM_CLIENT, &strangers, "host.pem", "host.key");
	expect_refusal(&p, "unknown ca", "TLS: ");
}

static void expired_hosts_are_refused(void **state unused_arg)
{
	struct pair p = {0};

	p.server_tls = context(TLS_STREAM_SERVER, &ours, "server.pem", "server.key");
	p.client_tls = context(TLS_STREAM_CLIENT, &ours, "old.pem", "old.key");
	expect_refusal(&p, "TLS: certificate has expired", "certificate expired");
}

static struct conn *enrol(struct pair *p, const uint8_t pin[TLS_PIN_SIZE])
{
	struct tls_files files = {.pin = pin};
	struct error err = {""};

	*p = (struct pair){0};
	p->server_tls = context(TLS_ENROL_SERVER, &ours, "server.pem", "server.key");
	assert_int_equal(tls_ctx_new(TLS_ENROL_CLIENT, &files, &p->client_tls, &err), 0);
	connect_pair(p);
	return p->client.c;
}

static void enrolment_trusts_the_pin_only(void **state unused_arg)
{
	uint8_t pin[TLS_PIN_SIZE], got[16];
	struct pair p;

	tls_ca_pin(ours.ca, pin);
	enrol(&p, pin);
	UNTIL(&p, p.server.opened && p.client.opened);
	assert_int_equal(SEND(&p.client, FRAME_ENROLL, "hi", 2), 0);
	UNTIL(&p, p.server.frames == 1);
	assert_int_equal(conn_peer_host(p.server.c, got), -ENOENT);
	pair_fini(&p);
	tls_ca_pin(strangers.ca, pin);
	enrol(&p, pin);
	UNTIL(&p, p.server.closed && p.client.closed);
	assert_string_equal(p.client.why, "TLS: the peer's CA is not the one that the token pins");
	assert_int_equal(p.client.opened, 0);
	pair_fini(&p);
}

/* ---- hostile bytes ---- */

/* A raw client against our server. */
static int raw_pair(struct pair *p)
{
	struct error err = {""};
	int fds[2];

	pair_init(p);
	p->base = event_base_new();
	p->server.last = p->client.last = BUF_INIT(FRAME_MAX_PAYLOAD);
	loopback(fds);
	assert_int_equal(conn_accept(p->base, p->server_tls, fds[1], OUT_MAX, &ops, &p->server,
				     &p->server.c, &err),
			 0);
	return fds[0];
}

static void garbage_before_tls_ends_it(void **state unused_arg)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	struct pair p;
	int fd = raw_pair(&p);

	assert_int_equal(write(fd, http, sizeof(http)), sizeof(http));
	UNTIL(&p, p.server.closed);
	assert_memory_equal(p.server.why, "TLS: ", 5);
	assert_int_equal(p.server.opened, 0);
	close(fd);
	pair_fini(&p);
}

static void a_peer_that_leaves_at_once_is_told(void **state unused_arg)
{
	struct pair p;

	close(raw_pair(&p));
	UNTIL(&p, p.server.closed);
	assert_string_equal(p.server.why, "peer closed without a goodbye");
	pair_fini(&p);
}

static void a_silent_peer_is_cut_off(void **state unused_arg)
{
	struct pair p;
	int fd = raw_pair(&p);

	conn_deadlines(p.server.c, 100, 100);
	UNTIL(&p, p.server.closed);
	assert_string_equal(p.server.why, "TLS: no handshake within 100 ms");
	close(fd);
	pair_fini(&p);
}

static void an_idle_connection_outlives_the_deadlines(void **state unused_arg)
{
	static const uint8_t data[200000];
	struct timespec nap = {0, 250000000};
	struct pair p;

	open_pair(&p);
	conn_deadlines(p.server.c, 100, 100);
	nanosleep(&nap, NULL);
	assert_int_equal(SEND(&p.client, FRAME_ACK, "x", 1), 0);
	UNTIL(&p, p.server.frames == 1);
	assert_int_equal(SEND(&p.client, FRAME_BATCH, data, sizeof(data)), 0);
	UNTIL(&p, p.server.frames == 2);
	nanosleep(&nap, NULL);
	event_base_loop(p.base, EVLOOP_NONBLOCK);
	assert_int_equal(p.server.closed, 0);
	pair_fini(&p);
}

static void connecting_to_nobody_is_told(void **state unused_arg)
{
	auto_close int l = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(sin);
	struct error err = {""};
	struct pair p;
	int rc;

	/* bound and not listening: nobody else can take the port meanwhile */
	assert_int_equal(bind(l, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&sin, &len), 0);
	pair_init(&p);
	p.base = event_base_new();
	rc = conn_connect(p.base, p.client_tls, "localhost", ntohs(sin.sin_port), OUT_MAX, &ops,
			  &p.client, &p.client.c, &err);
	if (rc == 0) {
		UNTIL(&p, p.client.closed);
		assert_non_null(strstr(p.client.why, "cannot connect to '"));
		assert_non_null(strstr(p.client.why, "Connection refused"));
	} else {
		assert_says(err, "Connection refused");
	}
	assert_int_equal(conn_connect(p.base, p.client_tls, "no such host", 1, OUT_MAX, &ops,
				      &p.client, &p.client.c, &err),
			 -EHOSTUNREACH);
	assert_says(err, "cannot resolve 'no such host': ");
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_of_any_size_go_both_ways),
		cmocka_unit_test(many_frames_keep_their_order),
		cmocka_unit_test(the_host_is_read_from_the_certificate),
		cmocka_unit_test(close_flushes_and_says_goodbye),
		cmocka_unit_test(a_callback_may_close_or_free),
		cmocka_unit_test(oversized_and_unknown_frames_end_it),
		cmocka_unit_test(output_is_bounded_and_draining_is_told),
		cmocka_unit_test(frames_before_the_end_are_read),
		cmocka_unit_test(foreign_hosts_are_refused),
		cmocka_unit_test(expired_hosts_are_refused),
		cmocka_unit_test(enrolment_trusts_the_pin_only),
		cmocka_unit_test(garbage_before_tls_ends_it),
		cmocka_unit_test(a_peer_that_leaves_at_once_is_told),
		cmocka_unit_test(a_silent_peer_is_cut_off),
		cmocka_unit_test(an_idle_connection_outlives_the_deadlines),
		cmocka_unit_test(connecting_to_nobody_is_told),
	};

	return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
