/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way from an agent's records to REST, without connections: 'senses CONNINFO FOLDER' opens the
 * store, reads back what was stored last, joins ingest and the web server, prints its port and then
 * obeys lines on stdin as the agent of host 1:
 *
 * - now: from here on its samples are of now; before, of an hour ago (no answer)
 * - keyframe KIB: two processes in a cgroup whose working set is KIB
 * - tick KIB: the next round
 * - gone: the round in which process 11 has left
 * - kill SEQ COMPLETE REPLAYED: a kill of process 11
 * - death: how process 11 ended
 * - posture CODE: what the host's set-up is
 * - python K: rounds tell of interpreters with K collections more a round (no answer)
 * - census PID K: its cache has 100 * K entries
 * - gc-event PID: its collector was turned off
 *
 * and answers each with 'stored N told K': the stream's last stored number, kills told since start.
 */
#include <event2/event.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/api/api.h"
#include "collector/fleet/ingest.h"
#include "collector/fleet/restore.h"
#include "collector/stats.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/delta.h"

#define HOST_ID 1
#define EPOCH   77
#define MASTER  10
#define WORKER  11

static const uint8_t boot_id[16] = "the boot of now.";

struct driver {
	struct event_base *base;
	struct registry registry;
	struct host *host;
	struct store *store;
	struct ingest *ingest;
	struct restore *restore;
	struct api *api;
	struct collector_stats stats;
	struct delta_state agent;
	uint64_t seq;
	int64_t t_us;
	unsigned told;
	int64_t python; /* collections a round; 0 = no interpreter is told of */
	int64_t collections;
	const char *folder;
};

static _Noreturn void printf_like(1, 2) die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static void on_kill(void *arg, struct host *h unused_arg, const struct wire_kill *k unused_arg,
		    int64_t id unused_arg, int64_t t_us unused_arg)
{
	((struct driver *)arg)->told++;
}

static const struct ingest_ops ops = {.on_kill = on_kill};

static void on_acked(void *arg, const struct store_acked *a)
{
	struct driver *d = arg;

	if (a->rc < 0)
		die("record %lld was refused: %d", (long long)a->last_seq, a->rc);
	printf("stored %lld told %u\n", (long long)a->last_seq, d->told);
	fflush(stdout);
}

/* ---- what the agent says ---- */

static void send_record(struct driver *d, enum wire_record kind, const struct buf *body)
{
	auto_buf struct buf batch = BUF_INIT(1 << 20);
	struct error err = {""};

	wire_batch_begin(&batch, EPOCH);
	wire_batch_add(&batch, ++d->seq, kind, body->data, body->len);
	if (buf_status(body) < 0 || buf_status(&batch) < 0 ||
	    ingest_batch(d->ingest, d->host, batch.data, batch.len, &err) < 0)
		die("batch: %s", err.msg);
}

static struct wire_process process(uint32_t id, uint32_t pid, enum wire_role role)
{
	return (struct wire_process){.id = id,
				     .pid = pid,
				     .start_ticks = pid * 100ull,
				     .role = role,
				     .slot = role == WIRE_ROLE_WORKER,
				     .cgroup_id = 1,
				     .comm = "gunicorn",
				     .cmdline = "gunicorn shop:app",
				     .exe = "/usr/bin/python3",
				     .cgroup = "/shop",
				     .service = "shop",
				     .container = "shop-1"};
}

static void interpreter(struct driver *d, int64_t v[METRIC_COUNT])
{
	d->collections += d->python;
	v[METRIC_CPU] = d->collections * 100;
	v[METRIC_PYTHON_VERSION] = 0x030b02f0;
	v[METRIC_PYTHON_STATE] = 0;
	v[METRIC_INTERPRETERS] = 1;
	v[METRIC_GC_ENABLED] = 1;
	v[METRIC_GC0] = d->collections;
	v[METRIC_GC1] = d->collections / 10;
	v[METRIC_GC2] = d->collections / 100;
	v[METRIC_COLLECTED] = d->collections * 3;
	v[METRIC_UNCOLLECTABLE] = 0;
	v[METRIC_GC_COUNT0] = 17;
	v[METRIC_GC_COUNT1] = 1;
	v[METRIC_GC_COUNT2] = 2;
	v[METRIC_GC_THRESHOLD0] = 700;
	v[METRIC_GC_THRESHOLD1] = 10;
	v[METRIC_GC_THRESHOLD2] = 10;
	v[METRIC_GC_FROZEN] = 0;
}

static void round_of(struct driver *d, struct wire_tick *t, int64_t kib, bool worker)
{
	auto_buf struct buf body = BUF_INIT(1 << 16);
	auto_arena struct arena arena;
	int64_t v[METRIC_COUNT], host[HOST_METRIC_COUNT], cgroup[CGROUP_METRIC_COUNT];
	struct delta_encoder e;

	arena_init(&arena, 1 << 20);
	for (int i = 0; i < METRIC_COUNT; i++)
		v[i] = METRIC_ABSENT;
	v[METRIC_RSS] = kib / 2;
	v[METRIC_PSS] = kib / 4;
	v[METRIC_ANON] = kib / 2;
	if (d->python)
		interpreter(d, v);
	for (int i = 0; i < HOST_METRIC_COUNT; i++)
		host[i] = 100 + i;
	host[HOST_METRIC_TOTAL] = 8 << 20;
	for (int i = 0; i < CGROUP_METRIC_COUNT; i++)
		cgroup[i] = 10 + i;
	cgroup[CGROUP_METRIC_WORKING_SET] = kib;
	cgroup[CGROUP_METRIC_LIMIT] = 512 << 10;
	cgroup[CGROUP_METRIC_HIGH] = METRIC_ABSENT;
	d->t_us += 10 * USEC_PER_SEC;
	t->t_wall_us = d->t_us;
	t->interval_ms = 10000;
	memcpy(t->boot_id, boot_id, sizeof(boot_id));
	if (delta_begin(&e, &d->agent, &arena, t, 2, (const size_t[DELTA_KINDS]){1, 0}) < 0)
		die("no memory");
	delta_process(&e, 0, v);
	if (worker)
		delta_process(&e, 1, v);
	delta_put_object(&e, DELTA_CGROUP, 0, cgroup);
	delta_host(&e, host);
	if (delta_finish(&e, &body) < 0)
		die("a tick did not fit");
	send_record(d, WIRE_TICK, &body);
}

static void keyframe(struct driver *d, int64_t kib)
{
	struct wire_process two[] = {process(0, MASTER, WIRE_ROLE_MASTER),
				     process(1, WORKER, WIRE_ROLE_WORKER)};
	struct wire_cgroup g = {.version = 2,
				.path = "/shop",
				.name = "shop-1",
				.runtime = "docker",
				.image = "shop:1",
				.limited_by = "/shop"};

	round_of(d,
		 &(struct wire_tick){
			 .keyframe = true, .born = two, .n_born = 2, .cgroups = &g, .n_cgroups = 1},
		 kib, true);
}

static void gone(struct driver *d)
{
	uint32_t id = 1;

	round_of(d, &(struct wire_tick){.exited = &id, .n_exited = 1}, 1000, false);
}

static struct wire_party party(uint32_t pid)
{
	struct wire_party p = {.pid = pid,
			       .start_ticks = pid * 100ull,
			       .uid = 33,
			       .comm = pid ? "gunicorn" : "",
			       .service = "",
			       .container = ""};

	for (int i = 0; i < KILL_FIGURE_COUNT; i++)
		p.v[i] = KILL_ABSENT;
	if (pid)
		p.v[KILL_FIGURE_GROWN_10M] = 4096;
	return p;
}

static void kill_of(struct driver *d, uint64_t seq, bool complete, bool replayed)
{
	auto_buf struct buf body = BUF_INIT(1 << 16);
	const char *advice[] = {"raise the limit"}, *evidence[] = {"Memory cgroup out of memory"};
	struct wire_party tasks[] = {party(WORKER), party(MASTER)};
	struct wire_kill k = {
		.t_wall_us = d->t_us,
		.seq = seq,
		.cause = KILL_CAUSE_KERNEL_MEMCG,
		.confidence = KILL_CONFIDENCE_CERTAIN,
		.complete = complete,
		.replayed = replayed,
		.victim = party(WORKER),
		.trigger = party(0),
		.victim_cgroup = "/shop",
		.limit_cgroup = "/shop",
		.limit_owner = "shop-1",
		.tasks = tasks,
		.n_tasks = 2,
		.tasks_total = 2,
		.growers = tasks,
		.n_growers = replayed ? 0 : 1,
		.verdict = replayed ? "found in the log" : "seen as it happened",
		.advice = advice,
		.n_advice = 1,
		.evidence = evidence,
		.n_evidence = 1,
		.ring_seconds = replayed ? 0 : 3600,
	};

	memcpy(k.boot_id, boot_id, sizeof(boot_id));
	for (int i = 0; i < KILL_TOTAL_COUNT; i++)
		k.v[i] = KILL_ABSENT;
	k.v[KILL_TOTAL_LIMIT] = 512 << 10;
	k.v[KILL_TOTAL_FAILCNT] = 3;
	wire_pack_kill(&body, &k);
	send_record(d, WIRE_KILL, &body);
}

/* Of a process: its cache holds 100 * k entries; what else it has stays as it is. */
static void census_of(struct driver *d, uint32_t pid, uint64_t k)
{
	auto_buf struct buf body = BUF_INIT(1 << 16);
	struct wire_census_type types[] = {
		{"app.cache.Entry", 100 * k, k << 20},
		{"dict", 5000, 1 << 20},
		{"function", 9000, 900000},
	};
	struct wire_census c = {
		.t_wall_us = d->t_us += USEC_PER_SEC,
		.pid = pid,
		.start_ticks = pid * 100ull,
		.method = CENSUS_METHOD_SNAPSHOT,
		.reason = CENSUS_REASON_ASKED,
		.version = 0x030b02f0,
		.interpreters = 1,
		.pause_us = 7500,
		.walk_us = 260000,
		.objects = 14000 + 100 * k,
		.bytes = (k << 20) + (1 << 20) + 900000,
		.types_total = 400,
		.types = types,
		.n_types = 3,
		.note = "",
	};

	memcpy(c.boot_id, boot_id, sizeof(boot_id));
	for (int i = 0; i < HEAP_PART_COUNT; i++)
		c.parts[i] = HEAP_ABSENT;
	c.parts[HEAP_PART_RSS] = (int64_t)(k << 20) + (30 << 20);
	c.parts[HEAP_PART_ARENAS] = 3;
	wire_pack_census(&body, &c);
	send_record(d, WIRE_CENSUS, &body);
}

static void gc_event(struct driver *d, uint32_t pid)
{
	auto_buf struct buf body = BUF_INIT(4096);
	struct wire_event e = {.t_wall_us = d->t_us += USEC_PER_SEC,
			       .kind = WIRE_EVENT_GC,
			       .pid = pid,
			       .start_ticks = pid * 100ull,
			       .text = "automatic collection was turned off",
			       .has_boot_id = true};

	memcpy(e.boot_id, boot_id, sizeof(boot_id));
	wire_pack_event(&body, &e);
	send_record(d, WIRE_EVENT, &body);
}

static void death(struct driver *d)
{
	auto_buf struct buf body = BUF_INIT(4096);
	const char *keys[] = {"cause", "confidence", "signal"};
	const char *values[] = {"kernel_memcg", "certain", "9"};
	struct wire_event e = {.t_wall_us = d->t_us,
			       .kind = WIRE_EVENT_DEATH,
			       .pid = WORKER,
			       .start_ticks = WORKER * 100ull,
			       .text = "the kernel ended it at its limit",
			       .keys = keys,
			       .values = values,
			       .n_details = 3,
			       .has_boot_id = true};

	memcpy(e.boot_id, boot_id, sizeof(boot_id));
	wire_pack_event(&body, &e);
	send_record(d, WIRE_EVENT, &body);
}

static void posture(struct driver *d, const char *code)
{
	auto_buf struct buf body = BUF_INIT(4096);
	struct wire_finding f = {.code = code,
				 .severity = WIRE_BAD,
				 .text = "so it is",
				 .fix = "do this"};

	d->t_us += USEC_PER_SEC;
	wire_pack_posture(&body,
			  &(struct wire_posture){.t_wall_us = d->t_us, .findings = &f, .n = 1});
	send_record(d, WIRE_POSTURE, &body);
}

static void obey(struct driver *d, char *line)
{
	unsigned long long seq;
	int complete, replayed;
	long long kib;
	char code[32];
	unsigned pid;

	line[strcspn(line, "\n")] = '\0';
	if (strcmp(line, "now") == 0)
		d->t_us = clock_wall_us() - 10 * USEC_PER_SEC;
	else if (sscanf(line, "keyframe %lld", &kib) == 1)
		keyframe(d, kib);
	else if (sscanf(line, "tick %lld", &kib) == 1)
		round_of(d, &(struct wire_tick){0}, kib, true);
	else if (sscanf(line, "python %lld", &kib) == 1)
		d->python = kib;
	else if (strcmp(line, "gone") == 0)
		gone(d);
	else if (sscanf(line, "kill %llu %d %d", &seq, &complete, &replayed) == 3)
		kill_of(d, seq, complete, replayed);
	else if (sscanf(line, "census %u %llu", &pid, &seq) == 2)
		census_of(d, pid, seq);
	else if (sscanf(line, "gc-event %u", &pid) == 1)
		gc_event(d, pid);
	else if (strcmp(line, "death") == 0)
		death(d);
	else if (sscanf(line, "posture %31s", code) == 1)
		posture(d, code);
	else
		die("cannot '%s'", line);
}

/* ---- start ---- */

static void on_line(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct driver *d = arg;
	char line[256];

	/* one line at a time: the test waits for each answer */
	if (fgets(line, sizeof(line), stdin))
		obey(d, line);
	else
		event_base_loopbreak(d->base);
}

static void on_stream(void *arg, int rc, int64_t conn, const int64_t *last_seq, size_t n unused_arg,
		      const struct error *err)
{
	struct driver *d = arg;
	struct http_config http;
	char token[512];
	struct api_context ctx = {.registry = &d->registry,
				  .db = store_db(d->store),
				  .store = d->store,
				  .stats = &d->stats,
				  .admin_token_path = token};
	struct error why = {""};

	if (rc < 0)
		die("stream: %s", err->msg);
	d->seq = (uint64_t)last_seq[0];
	if (ingest_open(d->ingest, d->host, EPOCH, d->seq, conn) < 0)
		die("no memory");
	snprintf(token, sizeof(token), "%s/admin.token", d->folder);
	http_config_init(&http);
	http.listen = "127.0.0.1:0";
	if (api_new(d->base, &http, &ctx, &d->api, &why) < 0)
		die("%s", why.msg);
	printf("port %u\n", api_port(d->api));
	fflush(stdout);
}

static void on_row(void *arg, const struct store_replayed *r)
{
	struct driver *d = arg;

	ingest_replay(d->ingest, d->host, r);
}

static void on_replayed(void *arg, int rc, const struct error *err)
{
	static const struct wire_epoch epoch = {.epoch = EPOCH};
	struct driver *d = arg;

	if (rc < 0 || store_stream_open(d->store, HOST_ID, &epoch, 1, on_stream, d) < 0)
		die("replay: %s", err ? err->msg : "no stream");
}

static void on_known(void *arg, int rc, const struct error *err)
{
	struct driver *d = arg;

	if (rc < 0 || store_replay(d->store, on_row, on_replayed, d) < 0)
		die("restore: %s", err ? err->msg : "no replay");
}

static void on_tick(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct driver *d = arg;

	if (d->restore || !store_ready(d->store))
		return;
	if (restore_new(&d->registry, store_db(d->store), on_known, d, &d->restore) < 0)
		die("no memory");
}

int main(int argc, char **argv)
{
	static const uint8_t uuid[16] = {1};
	const struct timeval moment = {.tv_usec = 50000};
	struct driver d = {.t_us = clock_wall_us() - 3600 * USEC_PER_SEC};
	struct store_config cfg;
	struct event *tick, *line;
	struct error err = {""};

	if (argc < 3)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdin, NULL, _IONBF, 0);
	log_init("senses", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	d.base = event_base_new();
	d.folder = argv[2];
	registry_init(&d.registry);
	delta_init(&d.agent);
	d.host = registry_host(&d.registry, HOST_ID, uuid, "web-1");
	store_config_init(&cfg);
	cfg.conninfo = argv[1];
	cfg.relaxed = true;
	cfg.window_us = 60 * USEC_PER_SEC;
	cfg.seal_grace_us = USEC_PER_SEC / 2;
	cfg.flush_us = 5000;
	if (!d.host || store_open(d.base, &cfg, on_acked, &d, &d.store, &err) < 0 ||
	    ingest_new(&d.registry, d.store, &ops, &d, &d.ingest) < 0)
		die("%s", err.msg);
	tick = event_new(d.base, -1, EV_PERSIST, on_tick, &d);
	line = event_new(d.base, STDIN_FILENO, EV_READ | EV_PERSIST, on_line, &d);
	event_add(tick, &moment);
	event_add(line, NULL);
	event_base_dispatch(d.base);
	event_free(tick);
	event_free(line);
	ingest_free(&d.ingest);
	store_free(&d.store);
	restore_free(&d.restore);
	api_free(&d.api);
	event_base_loop(d.base, EVLOOP_NONBLOCK); /* connections end in the turn after */
	delta_fini(&d.agent);
	registry_fini(&d.registry);
	event_base_free(d.base);
	libevent_global_shutdown();
	return 0;
}
