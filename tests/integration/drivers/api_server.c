/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The web server over a fleet that is made up here: two hosts, one with hostile names, one process
 * that grows. 'api_server FOLDER [CERTIFICATE KEY]' keeps admin.token in FOLDER, prints one line
 * 'PORT LOGIN-URL' and serves until SIGTERM. Without a database: what lives in memory answers,
 * the rest must say 503. Deadlines are short so that a test of them is.
 */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/api/api.h"
#include "collector/fleet/registry.h"
#include "collector/stats.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/tls.h"

#define GROWTH_KIB 1024

static void fill_process(struct host *h, int64_t id, uint32_t pid, const char *comm,
			 const char *service, int64_t step_kib, int64_t now_us)
{
	struct wire_process info = {.pid = pid,
				    .start_ticks = 1000 + pid,
				    .comm = comm,
				    .cmdline = comm,
				    .exe = "/usr/bin/python3",
				    .cgroup = "/",
				    .service = service,
				    .container = ""};
	struct process *p = registry_process(h, id, &info, now_us);
	int64_t v[METRIC_COUNT];

	if (!p)
		exit(1);
	for (int i = 0; i < METRIC_COUNT; i++)
		v[i] = METRIC_ABSENT;
	for (int minute = 30; minute >= 0; minute--) {
		v[METRIC_RSS] = 100000 + (30 - minute) * step_kib;
		v[METRIC_ANON] = v[METRIC_RSS] / 2;
		v[METRIC_THREADS] = 3;
		v[METRIC_CPU] = 1500;
		registry_sample(p, v, now_us - minute * 60 * USEC_PER_SEC);
	}
}

static void fill_host(struct registry *r, int32_t id, const char *name, int64_t now_us)
{
	uint8_t uuid[16] = {(uint8_t)id};
	struct host *h = registry_host(r, id, uuid, name);
	int64_t v[HOST_METRIC_COUNT];

	if (!h)
		exit(1);
	h->connected = id == 1;
	h->last_seen_us = now_us;
	for (int i = 0; i < HOST_METRIC_COUNT; i++)
		v[i] = 1000;
	for (int minute = 30; minute >= 0; minute--) {
		v[HOST_METRIC_TOTAL] = 2048 * 1024;
		v[HOST_METRIC_AVAILABLE] = 500000 + minute * GROWTH_KIB;
		registry_host_sample(h, v, now_us - minute * 60 * USEC_PER_SEC);
	}
}

static void fill(struct registry *r)
{
	int64_t now = clock_wall_us();

	fill_host(r, 1, "web-1", now);
	fill_host(r, 2, "x\"\\<b>", now);
	fill_process(registry_find_host(r, 1), 4611686018427387905, 100, "gunicorn", "shop",
		     GROWTH_KIB, now);
	fill_process(registry_find_host(r, 1), 12, 101, "gunicorn", "shop", 0, now);
	fill_process(registry_find_host(r, 2), 13, 102, "x) R 1 \\x0a<script>", "a\"b\\c", 0, now);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(arg);
}

static struct tls_ctx *make_tls(char **argv)
{
	const struct tls_files files = {.cert = argv[2], .key = argv[3]};
	struct tls_ctx *ctx = NULL;
	struct error err;

	if (tls_ctx_new(TLS_WEB_SERVER, &files, &ctx, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		exit(1);
	}
	return ctx;
}

int main(int argc, char **argv)
{
	struct event_base *base = event_base_new();
	struct event *term = evsignal_new(base, SIGTERM, on_signal, base);
	struct registry registry;
	struct collector_stats stats = {.alerts_mail = 2, .ingest_lag_us = 1500000};
	struct http_config http;
	struct api_context ctx = {.registry = &registry, .stats = &stats};
	struct api *api = NULL;
	struct error err = {.msg = ""};
	char token[512];
	char url[512];

	if (argc < 2)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	log_init("api", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	registry_init(&registry);
	fill(&registry);
	snprintf(token, sizeof(token), "%s/admin.token", argv[1]);
	ctx.admin_token_path = token;
	http_config_init(&http);
	http.listen = "127.0.0.1:0";
	http.allowed_hosts = "memherd.example\nother.example";
	http.limits.connections = 40;
	http.limits.first_us = 2 * USEC_PER_SEC;
	http.limits.read_us = 2 * USEC_PER_SEC;
	http.tls = argc > 3 ? make_tls(argv) : NULL;
	if (api_new(base, &http, &ctx, &api, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	api_login_url(api, "127.0.0.1", url, sizeof(url));
	printf("%u %s\n", api_port(api), url);
	fflush(stdout);
	evsignal_add(term, NULL);
	event_base_dispatch(base);
	api_free(&api);
	tls_ctx_free(&http.tls);
	registry_fini(&registry);
	event_free(term);
	event_base_free(base);
	return 0;
}
