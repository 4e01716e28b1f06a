/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/sense.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "agent/record.h"
#include "agent/sense/absence.h"
#include "agent/sense/keeper.h"
#include "agent/sense/killwatch.h"
#include "agent/sense/naming.h"
#include "agent/sense/outbox.h"
#include "agent/sense/outlook.h"
#include "agent/sense/procfs.h"
#include "agent/sense/pulse.h"
#include "agent/sense/requests.h"
#include "agent/sense/selflimit.h"
#include "agent/sense/sender.h"
#include "agent/sense/strain.h"
#include "agent/sense/tick.h"
#include "common/clock.h"
#include "common/heap.h"
#include "common/log.h"
#include "proto/wire.h"

#define SENSE_MAGIC 0x53454e53u
#define FAST_US     USEC_PER_SEC
#define BEAT_US     USEC_PER_SEC
/* While the kernel would tell of a stall at once: a beat costs as much as reading 20 processes. */
#define CALM_BEAT_US (2 * USEC_PER_SEC)
/* Bytes of a tick: what is larger is rare, and its memory is given back. */
#define BURST         ((size_t)16 * 1024)
#define OUTLOOK_EVERY (3600 * USEC_PER_SEC)

struct sense {
	unsigned magic;
	struct event_base *base;
	struct event *timer;
	struct event *beat;
	struct event *readable;
	struct event *writable;
	struct event *on_term;
	struct event *on_int;
	struct ticker ticker;
	struct outbox outbox;
	struct sender sender;
	struct keeper keeper;
	struct killwatch killwatch;
	struct pulse pulse;
	struct strain strain;
	struct selflimit selflimit;
	struct outlook outlook;
	struct naming naming;
	struct buf body; /* of the tick that is being made */
	struct sense_config cfg;
	struct sense_fds fds;
	struct requests requests;
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

/* ---- what is told beside the samples ---- */

static void send_start(struct sense *s)
{
	static const char *const keys[] = {"version", "interval_ms", "proc"};
	char interval[24];
	const char *values[] = {MEMHERD_VERSION, interval, s->ticker.cfg.sampling.proc_path};

	snprintf(interval, sizeof(interval), "%" PRId64, s->ticker.cfg.interval_us / 1000);
	sender_say(&s->sender, WIRE_EVENT_AGENT_START, "agent started", keys, values,
		   ARRAY_SIZE(keys));
}

/* Its own cost, for the heartbeat: the agent tells what it takes. */
static void send_self(struct sense *s, int64_t wall_us)
{
	int64_t rss = s->ticker.survey.figures[HOST_METRIC_AGENT_RSS];
	struct record_self self = {.cpu_us = (uint64_t)clock_cpu_us(),
				   .rss_bytes = rss == METRIC_ABSENT ? 0 : (uint64_t)rss * 1024};

	/* The next one says the same: a full queue may drop it. */
	(void)!outbox_push(&s->outbox, RECORD_SELF, 0, wall_us, &self, sizeof(self));
}

/* Once: some processes are there and cannot be read, or even pid 1 is not to be seen. */
static void tell_hidden(struct sense *s)
{
	static const char *const keys[] = {"hidden_processes"};
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
	sender_say(&s->sender, WIRE_EVENT_SENSE_TROUBLE,
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
		sender_event(&s->sender, &a.event);
	}
}

/* A balloon, or memory that was plugged: every limit and share means something else now. */
static void tell_memory(struct sense *s, int64_t before)
{
	static const char *const keys[] = {"before_bytes", "now_bytes"};
	int64_t now = s->ticker.survey.mem_total;
	char then_text[24], now_text[24], text[96];
	const char *values[] = {then_text, now_text};

	if (before == METRIC_ABSENT || now == METRIC_ABSENT || now == before)
		return;
	snprintf(then_text, sizeof(then_text), "%" PRId64, before * 1024);
	snprintf(now_text, sizeof(now_text), "%" PRId64, now * 1024);
	snprintf(text, sizeof(text),
		 "the host's memory changed from %" PRId64 " to %" PRId64 " MiB", before / 1024,
		 now / 1024);
	log_warn("memory_changed before_kib=%" PRId64 " now_kib=%" PRId64, before, now);
	sender_say(&s->sender, WIRE_EVENT_MEMORY, text, keys, values, ARRAY_SIZE(keys));
}

/* What changed in a Python process's collector. */
static void on_news(void *arg, const struct proc *p, const struct gcnews_item *item)
{
	static const char *const keys[] = {"what", "count", "collected"};
	struct sense *s = arg;
	char text[GCNEWS_TEXT], count[24], collected[24];
	const char *values[] = {gcnews_word(item->what), count, collected};
	const struct wire_event e = {.t_wall_us = clock_wall_us(),
				     .kind = WIRE_EVENT_GC,
				     .pid = p->pid,
				     .start_ticks = p->start_ticks,
				     .text = gcnews_text(text, item),
				     .keys = (const char **)keys,
				     .values = values,
				     .n_details = item->count ? ARRAY_SIZE(keys) : 1};

	MAGIC_CHECK(s, SENSE_MAGIC);
	snprintf(count, sizeof(count), "%" PRIu64, item->count);
	snprintf(collected, sizeof(collected), "%" PRIu64, item->collected);
	sender_event(&s->sender, &e);
}

static void tell_outlook(struct sense *s, int64_t wall_us, int64_t boot_us)
{
	struct posture_finding findings[POSTURE_MAX];
	size_t n;

	if (s->outlook.looked_us && boot_us - s->outlook.looked_us < OUTLOOK_EVERY)
		return;
	n = outlook_look(&s->outlook, &s->ticker, &s->fds, boot_us, findings);
	killwatch_posture(&s->killwatch, &s->outlook);
	sender_posture(&s->sender, wall_us, findings, n);
}

/* ---- pace ---- */

/* libevent counts from when it last looked at the clock, which is before the round that has just
 * been made: the next one would come early by that, and once more when it is due. */
static void arm_timer(struct sense *s)
{
	int64_t wait = ticker_wait_us(&s->ticker, clock_wall_us());
	struct timeval tv;

	if (wait < s->ticker.pace_us / 8)
		wait += s->ticker.pace_us;
	tv = (struct timeval){.tv_sec = wait / USEC_PER_SEC, .tv_usec = wait % USEC_PER_SEC};
	event_base_update_cache_time(s->base);
	event_add(s->timer, &tv);
}

static void set_pace(struct sense *s)
{
	bool fast = selflimit_allows_extras(&s->selflimit) && s->cfg.hurry != SENSE_HURRY_OFF &&
		    (s->pulse.fast || s->cfg.hurry == SENSE_HURRY_ALWAYS);
	int64_t base = s->ticker.cfg.interval_us * selflimit_stretch(&s->selflimit);
	int64_t pace = fast ? MIN_OF(FAST_US, base) : base;

	if (pace == s->ticker.pace_us)
		return;
	ticker_pace(&s->ticker, pace);
	if (s->timer && event_pending(s->timer, EV_TIMEOUT, NULL))
		arm_timer(s);
}

static void tell_pressure(struct sense *s, const char *why)
{
	if (*why) {
		log_info("pace=fast why=\"%s\"", why);
		sender_say(&s->sender, WIRE_EVENT_PRESSURE, why, NULL, NULL, 0);
	} else {
		log_info("pace=base");
	}
}

/* The next look between rounds. Each round looks too, and a little is added to its second: at a
 * pace of 1 s there are no others. What another killer writes into the journal cannot wait. */
static void arm_beat(struct sense *s, int64_t more_us)
{
	bool calm = strain_watches(&s->strain) && !s->ticker.survey.killers;
	int64_t wait_us = (calm ? CALM_BEAT_US : BEAT_US) + more_us;
	struct timeval tv = {.tv_sec = wait_us / USEC_PER_SEC, .tv_usec = wait_us % USEC_PER_SEC};

	if (s->cfg.hurry == SENSE_HURRY_AUTO)
		event_add(s->beat, &tv);
}

/* Is memory running out? */
static void feel(struct sense *s, struct pulse_beat *b)
{
	char why[PULSE_WHY_SIZE];

	b->trigger = strain_fired(&s->strain);
	if (pulse_feel(&s->pulse, b, why)) {
		tell_pressure(s, why);
		flush(s);
	}
	set_pace(s);
}

/* Between rounds: two reads, and no process is touched. */
static void feel_now(struct sense *s)
{
	struct pulse_beat b = {.boot_us = clock_boot_us()};

	strain_read(&s->ticker.sampler.dir, &b);
	feel(s, &b);
}

/* In a round, of what it read. */
static void feel_round(struct sense *s, int64_t boot_us)
{
	const int64_t *host = s->ticker.survey.figures;
	struct pulse_beat b = {.boot_us = boot_us,
			       .available = host[HOST_METRIC_AVAILABLE],
			       .total = host[HOST_METRIC_TOTAL],
			       .psi_some10 = host[HOST_METRIC_PSI_SOME10]};

	if (s->cfg.hurry != SENSE_HURRY_AUTO)
		return;
	feel(s, &b);
	arm_beat(s, BEAT_US / 4);
}

/* In each round: the cgroups' figures are as fresh as they get. */
static void feel_cgroups(struct sense *s, int64_t boot_us)
{
	char why[PULSE_WHY_SIZE];

	if (strain_cgroups(&s->strain, &s->ticker.survey.cgroups, &s->pulse, boot_us, why))
		tell_pressure(s, why);
}

static void judge_self(struct sense *s, int64_t boot_us)
{
	static const char *const keys[] = {"level", "cpu_share", "rss_bytes"};
	int64_t rss_kib = s->ticker.survey.figures[HOST_METRIC_AGENT_RSS];
	enum selflimit_answer answer = selflimit_judge(&s->selflimit, boot_us, clock_cpu_us(),
						       rss_kib == METRIC_ABSENT ? -1 : rss_kib);
	char level[16], share[16], rss[24];
	const char *values[] = {level, share, rss};

	if (answer == SELFLIMIT_AS_BEFORE)
		return;
	snprintf(level, sizeof(level), "%u", s->selflimit.level);
	snprintf(share, sizeof(share), "%u.%02u%%", s->selflimit.share / 100,
		 s->selflimit.share % 100);
	snprintf(rss, sizeof(rss), "%" PRId64, rss_kib * 1024);
	log_warn("self_limit level=%s cpu=%s rss=%s", level, share, rss);
	sender_say(&s->sender, WIRE_EVENT_SELF_LIMIT,
		   answer == SELFLIMIT_EASED ? "the agent does more again"
					     : "the agent does less: it cost more than it may",
		   keys, values, ARRAY_SIZE(keys));
	survey_allow_pss(&s->ticker.survey,
			 selflimit_allows_extras(&s->selflimit) ? s->cfg.pss_share : 0);
	s->ticker.spare_looks = !selflimit_allows_extras(&s->selflimit);
	heap_trim();
	if (answer == SELFLIMIT_END)
		stop(s, 1);
}

/* ---- the round ---- */

/* Was it one of those that take much memory: a keyframe, many births? */
static bool send_tick(struct sense *s, int64_t wall_us, int64_t boot_us)
{
	struct error err;
	bool keyframe = false;
	bool burst;
	int r;

	buf_reset(&s->body);
	r = ticker_round(&s->ticker, wall_us, boot_us, &s->body, &keyframe, &err);
	if (r < 0) {
		log_warn("tick_failed error=\"%s\"", err.msg);
		return false;
	}
	r = outbox_push(&s->outbox, RECORD_TICK, keyframe ? RECORD_KEYFRAME : 0, wall_us,
			s->body.data, s->body.len);
	burst = keyframe || s->body.len > BURST;
	if (burst)
		buf_fini(&s->body);
	if (r == 0)
		return burst;
	/* Its values are the encoder's base now: what follows must not build on it. */
	ticker_restart(&s->ticker);
	if (s->dropped++ == 0)
		log_warn("tick_dropped reason=\"link does not keep up\"");
	return burst;
}

static void turn(struct sense *s)
{
	int64_t wall_us = clock_wall_us();
	int64_t boot_us = clock_boot_us();
	int64_t total = s->ticker.survey.mem_total;
	bool burst;

	killwatch_before_round(&s->killwatch);
	burst = send_tick(s, wall_us, boot_us);
	killwatch_after_round(&s->killwatch);
	killwatch_beat(&s->killwatch, wall_us);
	/* Nobody to ask: containers keep their short ids. */
	(void)!naming_turn(&s->naming, s->ticker.sampler.now_us);
	send_self(s, wall_us);
	tell_hidden(s);
	tell_memory(s, total);
	tell_absence(s, wall_us);
	tell_outlook(s, wall_us, boot_us);
	feel_round(s, boot_us);
	feel_cgroups(s, boot_us);
	judge_self(s, boot_us);
	keeper_beat(&s->keeper, &s->ticker.survey, wall_us, boot_us);
	set_pace(s);
	flush(s);
	if (burst)
		heap_trim();
	arm_timer(s);
}

static void on_timer(unused_arg evutil_socket_t fd, unused_arg short what, void *arg)
{
	struct sense *s = arg;

	MAGIC_CHECK(s, SENSE_MAGIC);
	turn(s);
}

static void on_beat(unused_arg evutil_socket_t fd, unused_arg short what, void *arg)
{
	struct sense *s = arg;

	MAGIC_CHECK(s, SENSE_MAGIC);
	arm_beat(s, 0);
	killwatch_beat(&s->killwatch, clock_wall_us());
	feel_now(s);
}

static void on_strain(void *arg)
{
	struct sense *s = arg;

	MAGIC_CHECK(s, SENSE_MAGIC);
	feel_now(s);
}

/* A kill or its like does not wait for the next tick. */
static void on_urgent(void *arg)
{
	struct sense *s = arg;

	MAGIC_CHECK(s, SENSE_MAGIC);
	flush(s);
}

static void on_killed(void *arg)
{
	struct sense *s = arg;

	MAGIC_CHECK(s, SENSE_MAGIC);
	pulse_hurry(&s->pulse, clock_boot_us());
	set_pace(s);
}

static void on_end(void *arg, uint32_t id, const struct proc *p)
{
	struct sense *s = arg;

	MAGIC_CHECK(s, SENSE_MAGIC);
	killwatch_gone(&s->killwatch, id, p);
}

static void on_writable(unused_arg evutil_socket_t fd, unused_arg short what, void *arg)
{
	struct sense *s = arg;

	MAGIC_CHECK(s, SENSE_MAGIC);
	flush(s);
}

static void on_keyframe(void *arg)
{
	struct sense *s = arg;

	MAGIC_CHECK(s, SENSE_MAGIC);
	ticker_restart(&s->ticker);
}

static void on_action(void *arg, const struct record_action *a)
{
	struct sense *s = arg;

	MAGIC_CHECK(s, SENSE_MAGIC);
	killwatch_action(&s->killwatch, a);
}

static void read_requests(struct sense *s)
{
	static const struct requests_ops ops = {.keyframe = on_keyframe, .action = on_action};
	struct error err;
	int rc = s->rc < 0 ? requests_read(&s->requests, s->fds.link, &ops, s, &err) : 0;

	if (rc == -EPIPE) {
		stop(s, 0);
	} else if (rc < 0) {
		log_error("bad_request error=\"%s\"", err.msg);
		stop(s, 1);
	}
}

/* A verdict may be due: what memherd does was said before, and may wait in the socket. */
static void on_hear(void *arg)
{
	struct sense *s = arg;

	MAGIC_CHECK(s, SENSE_MAGIC);
	read_requests(s);
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
	sender_say(&s->sender, WIRE_EVENT_AGENT_STOP, "agent stopped", NULL, NULL, 0);
	/* What the socket takes now; nobody waits for the rest. */
	(void)!outbox_flush(&s->outbox);
	stop(s, 0);
}

/* ---- set-up ---- */

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
		.survey = {.pss_share = cfg->pss_share,
			   .ring_max_bytes = (uint32_t)cfg->ring_bytes},
		.interval_us = interval_us,
		.no_python = cfg->no_python,
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
	s->beat = event_new(s->base, -1, 0, on_beat, s);
	s->readable = event_new(s->base, s->fds.link, EV_READ | EV_PERSIST, on_readable, s);
	s->writable = event_new(s->base, s->fds.link, EV_WRITE, on_writable, s);
	s->on_term = evsignal_new(s->base, SIGTERM, on_signal, s);
	s->on_int = evsignal_new(s->base, SIGINT, on_signal, s);
	if (!s->timer || !s->beat || !s->readable || !s->writable || !s->on_term || !s->on_int ||
	    event_add(s->readable, NULL) < 0 || event_add(s->on_term, NULL) < 0 ||
	    event_add(s->on_int, NULL) < 0)
		return error_set(err, -ENOMEM, "cannot watch the link");
	strain_watch(&s->strain, s->base, s->ticker.cfg.sampling.proc_path, on_strain, s);
	return 0;
}

static int start_killwatch(struct sense *s, struct error *err)
{
	const struct killwatch_config cfg = {.base = s->base,
					     .fds = &s->fds,
					     .ticker = &s->ticker,
					     .sender = &s->sender,
					     .keeper = &s->keeper,
					     .state_dir = s->cfg.state_dir,
					     .urgent = on_urgent,
					     .pressure = on_killed,
					     .hear = on_hear,
					     .arg = s};
	int r = killwatch_init(&s->killwatch, &cfg, err);

	if (r < 0)
		return r;
	s->ticker.on_end = on_end;
	s->ticker.on_news = on_news;
	s->ticker.arg = s;
	return 0;
}

static void end_loop(struct sense *s)
{
	struct event **all[] = {&s->on_int,   &s->on_term, &s->writable,
				&s->readable, &s->beat,    &s->timer};

	strain_end(&s->strain);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (*all[i])
			event_free(*all[i]);
	if (s->base)
		event_base_free(s->base);
}

/* Everything that is told and kept, once the boot's id is known. */
static void open_mouth(struct sense *s)
{
	char path[4096];
	bool has_dir = s->cfg.state_dir && (size_t)snprintf(path, sizeof(path), "%s/blackbox",
							    s->cfg.state_dir) < sizeof(path);

	sender_init(&s->sender, &s->outbox, s->ticker.boot_id);
	keeper_open(&s->keeper, has_dir ? path : NULL, s->ticker.boot_id);
}

int sense_run(const struct sense_config *cfg, const struct sense_fds *fds)
{
	struct ticker_config ticking = ticker_config_of(cfg);
	struct sense s = {.magic = SENSE_MAGIC, .cfg = *cfg, .fds = *fds, .rc = -1};
	struct error err = {""};
	int r;

	s.selflimit.cfg = (struct selflimit_config){.cpu_share = cfg->max_cpu,
						    .rss_kib = cfg->max_rss / 1024};
	heap_tune();
	buf_init(&s.body, RECORD_MAX_BODY);
	outbox_init(&s.outbox, fds->link);
	cgroup_mount_find("/proc/self/mountinfo", &ticking.survey.mount);
	if (fcntl(fds->link, F_SETFL, O_NONBLOCK) < 0)
		r = error_sys(&err, -errno, "cannot use the link");
	else
		r = ticker_init(&s.ticker, &ticking, &err);
	if (r < 0) {
		log_error("start_failed error=\"%s\"", err.msg);
		return 1;
	}
	naming_init(&s.naming, &s.ticker.sampler, fds->names);
	open_mouth(&s);
	r = expect_services(&s, cfg, &err);
	if (r == 0)
		r = start_loop(&s, &err);
	if (r == 0)
		r = start_killwatch(&s, &err);
	if (r == 0) {
		log_info("started interval_ms=%" PRId64 " proc=%s", s.ticker.cfg.interval_us / 1000,
			 ticking.sampling.proc_path);
		send_start(&s);
		keeper_recall(&s.keeper, &s.sender, clock_wall_us());
		turn(&s);
		event_base_dispatch(s.base);
		log_info("stopped rounds=%u dropped=%" PRIu64, s.ticker.sampler.round, s.dropped);
	} else {
		log_error("start_failed error=\"%s\"", err.msg);
		s.rc = 1;
	}
	killwatch_fini(&s.killwatch);
	(void)!outbox_flush(&s.outbox); /* its last verdicts, as far as the socket takes them */
	end_loop(&s);
	keeper_close(&s.keeper, clock_wall_us());
	sender_fini(&s.sender);
	outbox_fini(&s.outbox);
	buf_fini(&s.body);
	ticker_fini(&s.ticker);
	return s.rc < 0 ? 0 : s.rc;
}
