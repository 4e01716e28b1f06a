/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/sense.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/record.h"
#include "agent/sense/absence.h"
#include "agent/sense/outbox.h"
#include "agent/sense/procfs.h"
#include "agent/sense/tick.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/wire.h"

#define SENSE_MAGIC 0x53454e53u

struct sense {
	unsigned magic;
	struct event_base *base;
	struct event *timer;
	struct event *readable;
	struct event *writable;
	struct event *on_term;
	struct event *on_int;
	struct ticker ticker;
	struct outbox outbox;
	struct buf body; /* of the record that is being made */
	int64_t interval_us;
	int link_fd;
	struct record_head request; /* from link, as far as it has come */
	size_t request_len;
	uint64_t dropped; /* ticks that link was too slow for */
	bool told_hidden;
	int rc;
};

static void stop(struct sense *s, int rc)
{
	s->rc = rc;
	event_base_loopbreak(s->base);
}

static void flush(struct sense *s)
{
	int r = outbox_flush(&s->outbox);

	if (r == 1)
		event_add(s->writable, NULL);
	else if (r == -EPIPE || r == -ECONNRESET)
		stop(s, 0);
	else if (r < 0) {
		log_error("send_failed error=\"%s\"", strerror(-r));
		stop(s, 1);
	}
}

static void send_event(struct sense *s, enum wire_event_kind kind, const char *text,
		       const char **keys, const char **values, size_t n)
{
	struct wire_event e = {.t_wall_us = clock_wall_us(),
			       .kind = kind,
			       .text = text,
			       .keys = keys,
			       .values = values,
			       .n_details = n};

	buf_reset(&s->body);
	wire_pack_event(&s->body, &e);
	if (buf_status(&s->body) < 0 ||
	    outbox_push(&s->outbox, RECORD_EVENT, 0, e.t_wall_us, s->body.data, s->body.len) < 0)
		log_warn("event_dropped kind=%s", wire_event_word(kind));
}

static void send_start(struct sense *s)
{
	const char *keys[] = {"version", "interval_ms", "proc"};
	char interval[24];
	const char *values[] = {MEMHERD_VERSION, interval, s->ticker.cfg.sampling.proc_path};

	snprintf(interval, sizeof(interval), "%" PRId64, s->interval_us / 1000);
	send_event(s, WIRE_EVENT_AGENT_START, "agent started", keys, values, ARRAY_SIZE(keys));
}

/* Its own cost, for the heartbeat: the agent tells what it takes. */
static void send_self(struct sense *s, int64_t wall_us)
{
	struct record_self self = {.cpu_us = (uint64_t)clock_cpu_us()};
	char buf[128];
	struct procfs_statm m;
	int n = procdir_read(&s->ticker.sampler.dir, (uint32_t)getpid(), "statm", buf, sizeof(buf));

	if (n > 0 && procfs_parse_statm(buf, (size_t)n, &m) == 0)
		self.rss_bytes = m.resident * s->ticker.sampler.page_kib * 1024;
	/* The next one says the same: a full queue may drop it. */
	(void)!outbox_push(&s->outbox, RECORD_SELF, 0, wall_us, &self, sizeof(self));
}

/* Once: some processes are there and cannot be read, or even pid 1 is not to be seen. */
static void tell_hidden(struct sense *s)
{
	const char *keys[] = {"hidden_processes"};
	char count[16];
	const char *values[] = {count};
	bool blind = strcmp(s->ticker.cfg.sampling.proc_path, "/proc") == 0 &&
		     proctab_find(&s->ticker.sampler.tab, 1) == PROC_NO_ID;

	if (s->told_hidden || (!s->ticker.sampler.hidden && !blind))
		return;
	s->told_hidden = true;
	snprintf(count, sizeof(count), "%u", s->ticker.sampler.hidden);
	log_warn("processes_hidden count=%u pid1_visible=%s", s->ticker.sampler.hidden,
		 blind ? "no" : "yes");
	send_event(s, WIRE_EVENT_SENSE_TROUBLE,
		   blind ? "other users' processes are not visible: /proc is mounted with hidepid"
			 : "some processes cannot be read: permission denied",
		   keys, values, ARRAY_SIZE(keys));
}

/* Expected services that went or came back. */
static void tell_absence(struct sense *s, int64_t wall_us)
{
	struct service_change changes[SERVICES_EXPECTED];
	struct services *services = &s->ticker.sampler.services;
	int64_t boot_us = s->ticker.sampler.now_us;
	size_t n = services_sweep(services, boot_us, changes);

	for (size_t i = 0; i < n; i++) {
		struct absence a;

		absence_describe(&a, &changes[i], wall_us, boot_us);
		log_line(changes[i].back ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "%s service=\"%s\"",
			 wire_event_word(a.event.kind), changes[i].pattern);
		send_event(s, a.event.kind, a.text, a.keys, a.values, a.event.n_details);
	}
}

static void send_tick(struct sense *s, int64_t wall_us)
{
	struct error err;
	bool keyframe;
	int r;

	buf_reset(&s->body);
	r = ticker_round(&s->ticker, wall_us, clock_boot_us(), &s->body, &keyframe, &err);
	if (r < 0) {
		log_warn("tick_failed error=\"%s\"", err.msg);
		return;
	}
	r = outbox_push(&s->outbox, RECORD_TICK, keyframe ? RECORD_KEYFRAME : 0, wall_us,
			s->body.data, s->body.len);
	if (r == 0)
		return;
	/* Its values are the encoder's base now: what follows must not build on it. */
	ticker_restart(&s->ticker);
	if (s->dropped++ == 0)
		log_warn("tick_dropped reason=\"link does not keep up\"");
}

static void arm_timer(struct sense *s)
{
	int64_t wait = ticker_wait_us(&s->ticker, clock_wall_us());
	struct timeval tv = {.tv_sec = wait / USEC_PER_SEC, .tv_usec = wait % USEC_PER_SEC};

	event_add(s->timer, &tv);
}

static void turn(struct sense *s)
{
	int64_t wall_us = clock_wall_us();

	send_tick(s, wall_us);
	send_self(s, wall_us);
	tell_hidden(s);
	tell_absence(s, wall_us);
	flush(s);
	arm_timer(s);
}

static void on_timer(unused_arg evutil_socket_t fd, unused_arg short what, void *arg)
{
	struct sense *s = arg;

	MAGIC_CHECK(s, SENSE_MAGIC);
	turn(s);
}

static void on_writable(unused_arg evutil_socket_t fd, unused_arg short what, void *arg)
{
	struct sense *s = arg;

	MAGIC_CHECK(s, SENSE_MAGIC);
	flush(s);
}

static void take_request(struct sense *s)
{
	s->request_len = 0;
	if (s->request.kind == RECORD_WANT_KEYFRAME && s->request.len == 0) {
		ticker_restart(&s->ticker);
		return;
	}
	log_error("bad_request kind=%u len=%u", s->request.kind, s->request.len);
	stop(s, 1);
}

/* Link sends heads without bodies; a few at a time. */
static void read_requests(struct sense *s)
{
	for (int i = 0; i < 16 && s->rc < 0; i++) {
		ssize_t n = recv(s->link_fd, (char *)&s->request + s->request_len,
				 sizeof(s->request) - s->request_len, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			stop(s, 0);
			return;
		}
		s->request_len += (size_t)n;
		if (s->request_len == sizeof(s->request))
			take_request(s);
	}
}

static void on_readable(unused_arg evutil_socket_t fd, unused_arg short what, void *arg)
{
	struct sense *s = arg;

	MAGIC_CHECK(s, SENSE_MAGIC);
	read_requests(s);
}

static void on_signal(unused_arg evutil_socket_t fd, unused_arg short what, void *arg)
{
	struct sense *s = arg;

	MAGIC_CHECK(s, SENSE_MAGIC);
	send_event(s, WIRE_EVENT_AGENT_STOP, "agent stopped", NULL, NULL, 0);
	/* What the socket takes now; nobody waits for the rest. */
	(void)!outbox_flush(&s->outbox);
	stop(s, 0);
}

static struct ticker_config ticker_config_of(const struct sense_config *cfg)
{
	size_t max = cfg->max_processes ? cfg->max_processes : 5000;
	int64_t interval_us = cfg->interval_us ? cfg->interval_us : 10 * USEC_PER_SEC;

	return (struct ticker_config){
		.sampling = {.proc_path = cfg->proc_path ? cfg->proc_path : "/proc",
			     .max_processes = (uint32_t)MIN_OF(max, (size_t)WIRE_MAX_PROCESSES),
			     .stat_every = SAMPLER_STAT_EVERY,
			     .full_every = SAMPLER_FULL_EVERY,
			     .young_rounds =
				     (uint32_t)MAX_OF(SAMPLER_YOUNG_US / interval_us, INT64_C(1))},
		.interval_us = interval_us,
		.window_us = cfg->window_us ? cfg->window_us : 1800 * USEC_PER_SEC,
		.keyframe_us = cfg->keyframe_us ? cfg->keyframe_us : 300 * USEC_PER_SEC,
	};
}

static int expect_services(struct sense *s, const struct sense_config *cfg, struct error *err)
{
	int r = services_expect(&s->ticker.sampler.services,
				cfg->expected_services ? cfg->expected_services : "",
				cfg->absent_after_us ? cfg->absent_after_us : 60 * USEC_PER_SEC,
				clock_boot_us());

	return r < 0 ? error_sys(err, r, "cannot expect services") : 0;
}

static int start_loop(struct sense *s, struct error *err)
{
	s->base = event_base_new();
	if (!s->base)
		return error_set(err, -ENOMEM, "cannot make an event loop");
	s->timer = event_new(s->base, -1, 0, on_timer, s);
	s->readable = event_new(s->base, s->link_fd, EV_READ | EV_PERSIST, on_readable, s);
	s->writable = event_new(s->base, s->link_fd, EV_WRITE, on_writable, s);
	s->on_term = evsignal_new(s->base, SIGTERM, on_signal, s);
	s->on_int = evsignal_new(s->base, SIGINT, on_signal, s);
	if (!s->timer || !s->readable || !s->writable || !s->on_term || !s->on_int ||
	    event_add(s->readable, NULL) < 0 || event_add(s->on_term, NULL) < 0 ||
	    event_add(s->on_int, NULL) < 0)
		return error_set(err, -ENOMEM, "cannot watch the link");
	return 0;
}

static void end_loop(struct sense *s)
{
	struct event **all[] = {&s->on_int, &s->on_term, &s->writable, &s->readable, &s->timer};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (*all[i])
			event_free(*all[i]);
	if (s->base)
		event_base_free(s->base);
}

int sense_run(const struct sense_config *cfg, int link_fd)
{
	struct ticker_config ticking = ticker_config_of(cfg);
	struct sense s = {.magic = SENSE_MAGIC, .link_fd = link_fd, .rc = -1};
	struct error err = {""};
	int r;

	s.interval_us = ticking.interval_us;
	buf_init(&s.body, RECORD_MAX_BODY);
	outbox_init(&s.outbox, link_fd);
	if (fcntl(link_fd, F_SETFL, O_NONBLOCK) < 0)
		r = error_sys(&err, -errno, "cannot use the link");
	else
		r = ticker_init(&s.ticker, &ticking, &err);
	if (r < 0) {
		log_error("start_failed error=\"%s\"", err.msg);
		return 1;
	}
	r = expect_services(&s, cfg, &err);
	if (r == 0)
		r = start_loop(&s, &err);
	if (r == 0) {
		log_info("started interval_ms=%" PRId64 " proc=%s", s.interval_us / 1000,
			 ticking.sampling.proc_path);
		send_start(&s);
		turn(&s);
		event_base_dispatch(s.base);
		log_info("stopped rounds=%u dropped=%" PRIu64, s.ticker.sampler.round, s.dropped);
	} else {
		log_error("start_failed error=\"%s\"", err.msg);
		s.rc = 1;
	}
	end_loop(&s);
	outbox_fini(&s.outbox);
	buf_fini(&s.body);
	ticker_fini(&s.ticker);
	return s.rc < 0 ? 0 : s.rc;
}
