/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sample costs the collector from the socket to its chunk: mutual TLS 1.3, frames, decoding,
 * registry, open windows, packing, flush and seal, in its one thread; PostgreSQL's part and rules
 * are not in it. Agents of the synthetic fleet in another process send some hours of the past, as
 * fast as they are read. ingest_wire HOSTS HOURS ROUNDS   so many rounds in a frame: 1 as they come
 * live, more of a backlog Prints 'name value unit': samples a second of the collector's CPU time,
 * and by the clock.
 */
#include <errno.h>
#include <event2/event.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "collector/fleet/ingest.h"
#include "collector/fleet/listener.h"
#include "collector/fleet/session.h"
#include "collector/store/embedded.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/tls.h"
#include "common/tls_ca.h"
#include "proto/conn.h"
#include "tests/bench/lib/agent.h"
#include "tests/bench/lib/open_store.h"

#define OUT_BYTES (1 << 20)

static struct event_base *base;
static struct sessions *sessions;
static uint64_t committed; /* records */
static char dir[] = "/tmp/memherd-bench-XXXXXX";
static uint8_t pin[TLS_PIN_SIZE];

static void die(const char *what, const struct error *err)
{
	fprintf(stderr, "ingest_wire: %s: %s\n", what, err ? err->msg : "");
	exit(1);
}

static void uuid_of(unsigned host, uint8_t uuid[16])
{
	memset(uuid, 0x5a, 16);
	memcpy(uuid, &host, sizeof(host));
}

/* ---- agents ---- */

struct sender {
	unsigned host;
	struct conn *c;
	struct buf *frames; /* each a Batch */
	unsigned n, at;
	bool streaming;
};

static void send_on(struct sender *s)
{
	while (s->streaming && s->at < s->n && conn_unsent(s->c) < OUT_BYTES / 2) {
		struct buf *b = &s->frames[s->at++];

		bench_must(conn_send(s->c, FRAME_BATCH, b->data, b->len), "a batch");
	}
}

static void on_open(void *arg, struct conn *c)
{
	struct sender *s = arg;
	struct wire_epoch epoch = {.epoch = s->host + 1, .seq_min = 1, .seq_max = 1};
	const struct wire_hello hello = {.proto_min = WIRE_PROTO,
					 .proto_max = WIRE_PROTO,
					 .features = WIRE_PATIENT,
					 .version = "bench",
					 .host_name = "bench",
					 .kernel = "",
					 .page_size = 4096,
					 .clock_ticks = 100,
					 .interval_ms = FLEET_STEP_US / 1000,
					 .cpus = 1,
					 .t_wall_us = clock_wall_us(),
					 .epochs = &epoch,
					 .n_epochs = 1};
	auto_buf struct buf b = BUF_INIT(FRAME_MAX_GREETING);

	wire_pack_hello(&b, &hello);
	bench_must(conn_send(c, FRAME_HELLO, b.data, b.len), "a greeting");
}

static void on_frame(void *arg, struct conn *c, const struct frame *f)
{
	struct sender *s = arg;

	(void)c;
	if (f->type == FRAME_GO_AWAY)
		die("an agent was sent away", NULL);
	s->streaming |= f->type == FRAME_HELLO_ACK;
	send_on(s);
}

static void on_drain(void *arg, struct conn *c)
{
	(void)c;
	send_on(arg);
}

static void on_close(void *arg, struct conn *c, const char *why)
{
	(void)arg, (void)c;
	fprintf(stderr, "ingest_wire: an agent's connection ended: %s\n", why);
	exit(1);
}

static void make_frames(struct sender *s, unsigned rounds, unsigned per_frame, int64_t from_us)
{
	struct fleet_agent a;

	s->n = rounds / per_frame;
	s->frames = calloc(s->n, sizeof(*s->frames));
	if (!s->frames)
		die("no memory", NULL);
	fleet_agent_init(&a, s->host, s->host + 1);
	for (unsigned i = 0; i < s->n; i++) {
		buf_init(&s->frames[i], 1 << 20);
		for (unsigned k = 0; k < per_frame; k++) {
			unsigned r = i * per_frame + k;

			fleet_agent_round(&a, from_us + r * FLEET_STEP_US, r % FLEET_ROUNDS == 0,
					  &s->frames[i]);
		}
		bench_must(buf_status(&s->frames[i]), "a batch");
	}
	fleet_agent_fini(&a);
}

static void agents(unsigned hosts, unsigned rounds, unsigned per_frame, int64_t from_us,
		   uint16_t port, int ready)
{
	static const struct conn_ops ops = {.on_open = on_open,
					    .on_frame = on_frame,
					    .on_close = on_close,
					    .on_drain = on_drain};
	struct sender *all = calloc(hosts, sizeof(*all));

	base = event_base_new();
	for (unsigned h = 0; all && h < hosts; h++) {
		all[h].host = h;
		make_frames(&all[h], rounds, per_frame, from_us);
	}
	if (!all || !base || write(ready, "", 1) != 1)
		die("no memory", NULL);
	for (unsigned h = 0; h < hosts; h++) {
		char ca[PATH_MAX], key[PATH_MAX], cert[PATH_MAX];
		const struct tls_files files = {.ca = ca, .cert = cert, .key = key, .pin = pin};
		struct tls_ctx *tls;
		struct error err;

		snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
		snprintf(key, sizeof(key), "%s/%u.key", dir, h);
		snprintf(cert, sizeof(cert), "%s/%u.pem", dir, h);
		if (tls_ctx_new(TLS_STREAM_CLIENT, &files, &tls, &err) < 0 ||
		    conn_connect(base, tls, "127.0.0.1", port, OUT_BYTES, &ops, &all[h], &all[h].c,
				 &err) < 0)
			die("an agent", &err);
		conn_max_payload(all[h].c, FRAME_MAX_PAYLOAD);
	}
	event_base_dispatch(base);
	exit(0);
}

/* ---- the collector ---- */

static void on_acked(void *arg, const struct store_acked *a)
{
	static int64_t last[4096];

	(void)arg;
	bench_must(a->rc, "a batch");
	committed += (uint64_t)(a->last_seq - last[a->host_id]);
	last[a->host_id] = a->last_seq;
	sessions_ack(sessions, a->host_id, (uint64_t)a->epoch, (uint64_t)a->last_seq);
	sessions_resume(sessions);
}

static void make_host(struct tls_ca *ca, struct registry *registry, unsigned host)
{
	auto_buf struct buf csr = BUF_INIT(4096), pem = BUF_INIT(16384);
	char key[PATH_MAX], cert[PATH_MAX];
	uint8_t uuid[16];
	struct error err;

	uuid_of(host, uuid);
	snprintf(key, sizeof(key), "%s/%u.key", dir, host);
	snprintf(cert, sizeof(cert), "%s/%u.pem", dir, host);
	if (tls_make_csr(key, "bench", &csr, &err) < 0 ||
	    tls_ca_issue(ca, csr.data, csr.len, uuid, time(NULL) - 60, 36000, &pem, &err) < 0 ||
	    fs_write(cert, 0644, pem.data, pem.len, &err) < 0)
		die("a certificate", &err);
	if (!registry_host(registry, (int32_t)host + 1, uuid, "bench"))
		die("no memory", NULL);
}

static struct tls_ctx *make_server(struct tls_ca **ca)
{
	char ca_path[PATH_MAX], key[PATH_MAX], cert[PATH_MAX];
	const struct tls_files files = {.ca = ca_path, .cert = cert, .key = key};
	struct tls_ctx *tls;
	struct error err;

	if (tls_ca_open(dir, ca, &err) < 0 || tls_ca_server(*ca, dir, &err) < 0)
		die("a CA", &err);
	tls_ca_pin(*ca, pin);
	snprintf(ca_path, sizeof(ca_path), "%s/ca.pem", dir);
	snprintf(key, sizeof(key), "%s/server.key", dir);
	snprintf(cert, sizeof(cert), "%s/server.pem", dir);
	if (tls_ctx_new(TLS_STREAM_SERVER, &files, &tls, &err) < 0)
		die("a certificate", &err);
	return tls;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

static void measure(unsigned hosts, unsigned rounds, unsigned per_frame)
{
	double samples = (double)hosts * rounds * FLEET_PROCESSES;
	int64_t cpu = clock_cpu_us(), before = clock_boot_us();

	while (committed < (uint64_t)hosts * rounds) {
		event_base_loop(base, EVLOOP_ONCE);
		if (waitpid(-1, NULL, WNOHANG) > 0)
			die("the agents ended", NULL);
	}
	cpu = clock_cpu_us() - cpu;
	before = clock_boot_us() - before;
	printf("wire_samples_%u_rounds_a_frame %.0f samples\n", per_frame, samples);
	printf("wire_cpu_%u_rounds_a_frame %.0f ns_per_sample\n", per_frame, cpu * 1e3 / samples);
	printf("wire_rate_%u_rounds_a_frame %.0f per_second_and_core\n", per_frame,
	       samples / (double)cpu * 1e6);
	printf("wire_rate_by_clock_%u_rounds_a_frame %.0f per_second\n", per_frame,
	       samples / (double)before * 1e6);
}

/* All windows are over by now: what waits for a host's next rounds goes out as they are sealed. */
static int64_t start_of(unsigned rounds)
{
	int64_t now = clock_wall_us() - USEC_PER_SEC * 60;

	return now - now % (FLEET_ROUNDS * FLEET_STEP_US) - rounds * FLEET_STEP_US;
}

int main(int argc, char **argv)
{
	static const struct sessions_ops sessions_ops;
	static const struct ingest_ops ingest_ops;
	const struct listener_limits limits = {100000, 10000, 10000};
	unsigned hosts = argc == 4 ? (unsigned)atoi(argv[1]) : 0;
	unsigned per_frame = hosts ? (unsigned)atoi(argv[3]) : 1;
	unsigned rounds = hosts ? (unsigned)atoi(argv[2]) * 360 / per_frame * per_frame : 0;
	int64_t from_us = start_of(rounds);
	struct embedded_config ecfg = {.dir = dir};
	struct registry registry;
	struct listener *listener;
	struct store_config cfg;
	struct ingest *ingest;
	struct embedded *e;
	struct tls_ctx *tls;
	struct store *store;
	struct tls_ca *ca;
	struct error err;
	int ready[2], port[2];
	uint16_t at = 0;
	pid_t child;
	char c;

	if (!hosts || hosts > 4000 || !rounds || !mkdtemp(dir) || pipe(ready) < 0 ||
	    pipe(port) < 0) {
		fprintf(stderr, "usage: ingest_wire HOSTS HOURS ROUNDS\n");
		return 2;
	}
	tls = make_server(&ca);
	registry_init(&registry);
	for (unsigned h = 0; h < hosts; h++)
		make_host(ca, &registry, h);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		if (read(port[0], &at, sizeof(at)) != sizeof(at))
			exit(1);
		agents(hosts, rounds, per_frame, from_us, at, ready[1]);
	}
	if (embedded_start(&ecfg, &e, &err) < 0)
		die("PostgreSQL", &err);
	base = event_base_new();
	bench_store_config(&cfg, embedded_conninfo(e));
	cfg.seal_grace_us = USEC_PER_SEC;
	store = bench_store_open(base, &cfg, on_acked, NULL);
	bench_must(ingest_new(&registry, store, &ingest_ops, NULL, &ingest), "ingest");
	bench_must(sessions_new(base, tls, &registry, store, ingest, &sessions_ops, NULL,
				&sessions),
		   "sessions");
	sessions_limit(sessions, INT64_MAX / 4096);
	if (listener_new(base, "127.0.0.1:0", &limits, sessions_accept, sessions, &listener, &err) <
	    0)
		die("a port", &err);
	at = listener_port(listener);
	if (write(port[1], &at, sizeof(at)) != sizeof(at) || read(ready[0], &c, 1) != 1)
		die("the agents", NULL);
	measure(hosts, rounds, per_frame);
	kill(child, SIGTERM);
	waitpid(child, NULL, 0);
	listener_free(&listener);
	sessions_free(&sessions);
	ingest_free(&ingest);
	store_free(&store);
	embedded_free(&e);
	registry_fini(&registry);
	tls_ctx_free(&tls);
	tls_ca_free(&ca);
	event_base_free(base);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
