/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leakers FOLDER N TOKEN PORT - N hosts in one program: each enrols by the token in file TOKEN,
 *keeps a connection of its own over mutual TLS and speaks what memherd-agent speaks. Host i is
 *called 'leaker-i' and has two processes, 'leaky' and 'useless', of 50 MiB. Lines on stdin:
 *
 *	leaky | useless    that process of each host begins to grow, one host after the other
 *
 * A command is answered as memherd-actd would, after some tenths of a second, when its signature
 * and its target are right: a leaky one falls back to its 50 MiB and grows no more, a useless one
 * gives nothing. Says 'ready' once all are streaming; at the end of stdin it ends. Whatever else
 * happens ends it with a message: a refusal, a connection that ends, a command that is not ours.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/enroll.h"
#include "agent/link/credentials.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/sign.h"
#include "common/str.h"
#include "common/tls.h"
#include "proto/command.h"
#include "proto/conn.h"
#include "proto/delta.h"
#include "proto/wire.h"

#define OUT_BYTES    (1 << 20)
#define INTERVAL_MS  500
#define STAGGER_US   100000 /* from one host's first growth to the next one's */
#define CALM_KIB     (50 << 10)
#define STEP_KIB     (60 << 10) /* a tick */
#define MOST_KIB     (900 << 10)
#define PROCESSES    2
#define UNACKED_MAX  200
#define COMMANDS_MAX 4

enum { LEAKY, USELESS };

static const char *const names[PROCESSES] = {"leaky", "useless"};

struct waiting {
	struct command c;
	int64_t due_us;
};

struct agent {
	unsigned number; /* from 1 */
	uint8_t uuid[16], boot_id[16];
	uint8_t key[SIGN_KEY_SIZE]; /* of commands */
	char dir[PATH_MAX];
	struct tls_ctx *tls;
	struct conn *c;
	bool streaming;
	uint64_t epoch, seq, acked;
	struct delta_state state;
	bool told; /* the keyframe went */
	int64_t rss[PROCESSES];
	int64_t grows_us[PROCESSES]; /* from then on; 0 = does not */
	struct waiting waiting[COMMANDS_MAX];
	unsigned n_waiting;
};

static struct event_base *base;
static struct agent *all;
static unsigned n_all, n_streaming;

static _Noreturn void die(unsigned number, const char *what, const char *why)
{
	fprintf(stderr, "leakers: host %u: %s: %s\n", number, what, why);
	exit(1);
}

static void must(const struct agent *a, int rc, const char *what)
{
	if (rc < 0)
		die(a->number, what, strerror(-rc));
}

/* ---- who it is ---- */

static void read_hex(const struct agent *a, const char *name, char *text, size_t size)
{
	auto_buf struct buf b = BUF_INIT(4096);
	char path[PATH_MAX + 32];
	struct error err = {""};

	snprintf(path, sizeof(path), "%s/%s", a->dir, name);
	if (fs_read(path, &b, &err) < 0)
		die(a->number, "its files", err.msg);
	(void)str_copy(text, size, str_trim((char *)b.data));
}

static void enroll(struct agent *a, const struct token *token)
{
	struct agent_options o = {0};
	char name[32], text[2 * SIGN_KEY_SIZE + 8];
	struct error err = {""};

	snprintf(name, sizeof(name), "leaker-%u", a->number);
	if (conf_defaults(&agent_options_table, &o, &err) < 0)
		die(a->number, "options", err.msg);
	free(o.state_dir);
	free(o.trust_dir);
	free(o.host_name);
	free(o.collector);
	free(o.user);
	o.state_dir = strdup(a->dir);
	o.trust_dir = strdup(a->dir);
	o.host_name = strdup(name);
	o.collector = strdup("");
	o.user = strdup("root");
	if (enroll_run(&o, token, false, &err) < 0 || credentials_load(&o, &a->tls, &err) < 0)
		die(a->number, "enrolment", err.msg);
	conf_fini(&agent_options_table, &o);
	read_hex(a, CREDENTIALS_UUID, text, sizeof(text));
	must(a, uuid_parse(a->uuid, text), "host_uuid");
	read_hex(a, CREDENTIALS_COMMAND_KEY, text, sizeof(text));
	must(a, str_unhex(a->key, sizeof(a->key), text), "command.pub");
}

/* ---- what it tells ---- */

static void send_tick(struct agent *a)
{
	struct wire_process born[PROCESSES];
	struct wire_tick t = {.t_wall_us = clock_wall_us(),
			      .t_boot_us = (uint64_t)clock_boot_us(),
			      .interval_ms = INTERVAL_MS,
			      .keyframe = !a->told};
	auto_buf struct buf body = BUF_INIT(1 << 16);
	auto_buf struct buf batch = BUF_INIT(1 << 16);
	auto_arena struct arena arena;
	struct delta_encoder e;

	arena_init(&arena, 1 << 20);
	memcpy(t.boot_id, a->boot_id, sizeof(t.boot_id));
	for (uint32_t i = 0; i < PROCESSES; i++)
		born[i] = (struct wire_process){.id = i,
						.pid = 1000 + i,
						.start_ticks = 7,
						.comm = "python3",
						.cmdline = names[i],
						.exe = "",
						.cgroup = "",
						.service = names[i],
						.container = ""};
	if (!a->told) {
		t.born = born;
		t.n_born = PROCESSES;
	}
	must(a, delta_begin(&e, &a->state, &arena, &t, PROCESSES, (const size_t[DELTA_KINDS]){0}),
	     "a tick");
	for (uint32_t i = 0; i < PROCESSES; i++) {
		int64_t v[METRIC_COUNT];

		for (size_t k = 0; k < METRIC_COUNT; k++)
			v[k] = METRIC_ABSENT;
		v[METRIC_RSS] = v[METRIC_ANON] = a->rss[i];
		delta_process(&e, i, v);
	}
	must(a, delta_finish(&e, &body), "a tick");
	wire_batch_begin(&batch, a->epoch);
	wire_batch_add(&batch, ++a->seq, WIRE_TICK, body.data, body.len);
	must(a, conn_send(a->c, FRAME_BATCH, batch.data, batch.len), "a batch");
	a->told = true;
}

static void answer(struct agent *a, const struct command *c)
{
	unsigned i = c->pid - 1000;
	int64_t before = a->rss[i] * 1024;
	struct command_result r = {.status = COMMAND_DONE,
				   .rss_before = before,
				   .swap_before = 0,
				   .swap_after = 0,
				   .held_us = 900,
				   .total_us = 20000};
	uint8_t packed[COMMAND_RESULT_SIZE];
	auto_buf struct buf b = BUF_INIT(4096);
	struct wire_command_result m = {.body = {.data = packed, .len = sizeof(packed)}};

	if (i == LEAKY) {
		a->rss[i] = CALM_KIB;
		a->grows_us[i] = 0;
	}
	memcpy(r.id, c->id, sizeof(r.id));
	r.rss_after = a->rss[i] * 1024;
	snprintf(r.detail, sizeof(r.detail), "made up for %s", names[i]);
	command_result_pack(packed, &r);
	wire_pack_command_result(&b, &m);
	must(a, conn_send(a->c, FRAME_COMMAND_RESULT, b.data, b.len), "a result");
}

static void live(struct agent *a, int64_t now_us)
{
	for (unsigned i = 0; i < PROCESSES; i++)
		if (a->grows_us[i] && now_us >= a->grows_us[i])
			a->rss[i] = MIN_OF(a->rss[i] + STEP_KIB, (int64_t)MOST_KIB);
	for (unsigned i = 0; i < a->n_waiting;) {
		if (a->waiting[i].due_us > now_us) {
			i++;
			continue;
		}
		answer(a, &a->waiting[i].c);
		a->waiting[i] = a->waiting[--a->n_waiting];
	}
	if (a->seq - a->acked < UNACKED_MAX)
		send_tick(a);
}

static void on_timer(evutil_socket_t fd unused_arg, short what unused_arg, void *arg unused_arg)
{
	int64_t now_us = clock_boot_us();

	for (unsigned i = 0; i < n_all; i++)
		if (all[i].streaming)
			live(&all[i], now_us);
}

/* ---- what it hears ---- */

static void on_open(void *arg, struct conn *c)
{
	struct agent *a = arg;
	char name[32];
	struct wire_epoch epoch = {.epoch = a->epoch, .seq_min = 1, .seq_max = 1};
	struct wire_hello hello = {.proto_min = WIRE_PROTO,
				   .proto_max = WIRE_PROTO,
				   .features = WIRE_PATIENT,
				   .version = "0",
				   .host_name = name,
				   .kernel = "",
				   .page_size = 4096,
				   .clock_ticks = 100,
				   .interval_ms = INTERVAL_MS,
				   .cpus = 1,
				   .act = true,
				   .t_wall_us = clock_wall_us(),
				   .t_boot_us = (uint64_t)clock_boot_us(),
				   .epochs = &epoch,
				   .n_epochs = 1};
	auto_buf struct buf b = BUF_INIT(FRAME_MAX_GREETING);

	snprintf(name, sizeof(name), "leaker-%u", a->number);
	memcpy(hello.boot_id, a->boot_id, sizeof(hello.boot_id));
	wire_pack_hello(&b, &hello);
	must(a, conn_send(c, FRAME_HELLO, b.data, b.len), "a greeting");
}

static void take_command(struct agent *a, const struct frame *f)
{
	auto_arena struct arena arena;
	struct wire_command m;
	struct error err = {""};
	struct command c;

	arena_init(&arena, WIRE_BUDGET(f->len));
	if (wire_unpack_command(&arena, f->payload, f->len, &m, &err) < 0)
		die(a->number, "a command", err.msg);
	if (m.signature.len != SIGN_SIZE ||
	    sign_check(a->key, COMMAND_DOMAIN, m.body.data, m.body.len, m.signature.data) < 0)
		die(a->number, "a command", "its signature is not of the command key");
	if (command_unpack(m.body.data, m.body.len, &c, &err) < 0)
		die(a->number, "a command", err.msg);
	if (c.action != COMMAND_TRIM || memcmp(c.host_uuid, a->uuid, 16) != 0 ||
	    memcmp(c.boot_id, a->boot_id, 16) != 0 || c.start_ticks != 7 || c.pid < 1000 ||
	    c.pid >= 1000 + PROCESSES || a->n_waiting == COMMANDS_MAX)
		die(a->number, "a command", "it is of another host, process or action");
	a->waiting[a->n_waiting++] =
		(struct waiting){.c = c,
				 .due_us = clock_boot_us() + 200000 * (int64_t)(1 + a->number % 5)};
}

static void take_ack(struct agent *a, const struct frame *f)
{
	auto_arena struct arena arena;
	struct wire_ack m;
	struct error err = {""};

	arena_init(&arena, WIRE_BUDGET(f->len));
	if (wire_unpack_ack(&arena, f->payload, f->len, &m, &err) < 0)
		die(a->number, "an ack", err.msg);
	a->acked = m.seq;
}

static void on_frame(void *arg, struct conn *c unused_arg, const struct frame *f)
{
	struct agent *a = arg;

	if (f->type == FRAME_HELLO_ACK && !a->streaming) {
		a->streaming = true;
		if (++n_streaming == n_all) {
			puts("ready");
			fflush(stdout);
		}
	} else if (f->type == FRAME_COMMAND) {
		take_command(a, f);
	} else if (f->type == FRAME_ACK) {
		take_ack(a, f);
	} else if (f->type != FRAME_HEARTBEAT) {
		die(a->number, "a frame", frame_name(f->type));
	}
}

static void on_close(void *arg, struct conn *c unused_arg, const char *why)
{
	die(((struct agent *)arg)->number, "its connection ended", why);
}

/* ---- orders ---- */

static void on_line(evutil_socket_t fd, short what unused_arg, void *arg unused_arg)
{
	char line[64];
	ssize_t n = read(fd, line, sizeof(line) - 1);
	int64_t now_us = clock_boot_us();

	if (n <= 0) {
		event_base_loopbreak(base);
		return;
	}
	line[n] = '\0';
	for (unsigned i = 0; i < PROCESSES; i++)
		for (unsigned k = 0; strcmp(str_trim(line), names[i]) == 0 && k < n_all; k++)
			all[k].grows_us[i] = now_us + (int64_t)k * STAGGER_US;
}

/* All of them before the first connects: there is a deadline for what follows. */
static void prepare(struct agent *a, const char *folder, const struct token *token)
{
	snprintf(a->dir, sizeof(a->dir), "%s/%u", folder, a->number);
	enroll(a, token);
	memset(a->boot_id, 0x5a, sizeof(a->boot_id));
	memcpy(a->boot_id, &a->number, sizeof(a->number));
	a->epoch = (uint64_t)clock_wall_us() + a->number;
	delta_init(&a->state);
	for (unsigned i = 0; i < PROCESSES; i++)
		a->rss[i] = CALM_KIB;
}

static void connect_to(struct agent *a, const char *host, uint16_t port)
{
	static const struct conn_ops ops = {.on_open = on_open,
					    .on_frame = on_frame,
					    .on_close = on_close};
	struct error err = {""};

	if (conn_connect(base, a->tls, host, port, OUT_BYTES, &ops, a, &a->c, &err) < 0)
		die(a->number, "connection", err.msg);
	conn_max_payload(a->c, FRAME_MAX_PAYLOAD);
}

int main(int argc, char **argv)
{
	const struct timeval interval = {.tv_usec = INTERVAL_MS * 1000};
	struct event *timer, *lines;
	struct error err = {""};
	struct token token;

	if (argc != 5)
		return 2;
	signal(SIGPIPE, SIG_IGN); /* a connection that ends is told, not died of */
	n_all = (unsigned)strtoul(argv[2], NULL, 10);
	all = calloc(n_all, sizeof(*all));
	base = event_base_new();
	if (!n_all || !all || !base)
		return 2;
	if (enroll_read_token(argv[3], &token, &err) < 0)
		die(0, "token", err.msg);
	for (unsigned i = 0; i < n_all; i++) {
		all[i].number = i + 1;
		prepare(&all[i], argv[1], &token);
	}
	for (unsigned i = 0; i < n_all; i++)
		connect_to(&all[i], token.host, (uint16_t)strtoul(argv[4], NULL, 10));
	timer = event_new(base, -1, EV_PERSIST, on_timer, NULL);
	lines = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_line, NULL);
	if (!timer || !lines || event_add(timer, &interval) < 0 || event_add(lines, NULL) < 0)
		return 2;
	event_base_dispatch(base);
	event_free(timer);
	event_free(lines);
	for (unsigned i = 0; i < n_all; i++) {
		conn_free(&all[i].c);
		tls_ctx_free(&all[i].tls);
		delta_fini(&all[i].state);
	}
	event_base_free(base);
	free(all);
	return 0;
}
