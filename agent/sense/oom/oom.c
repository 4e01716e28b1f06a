/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/oom.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "agent/sense/oom/deaths.h"
#include "agent/sense/oom/exits.h"
#include "agent/sense/oom/kmsg_reader.h"
#include "agent/sense/oom/marks.h"
#include "agent/sense/oom/position.h"
#include "agent/sense/oom/report.h"
#include "agent/sense/oom/subject.h"
#include "agent/sense/oom/tally.h"
#include "agent/sense/oom/teller.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define OOM_MAGIC 0x4f4f4d21u

/* What one turn of the loop may take from a source; the rest has to wait for the next. */
#define TURN_RECORDS 256
#define TURN_EXITS   256
#define TURN_MARKS   64

/* Where many processes end, they are heard of together: a wake-up each would cost more than all
 * else. The socket holds a thousand meanwhile. */
#define EXITS_REST_US 50000

#define SAVE_EVERY_US    (60 * USEC_PER_SEC)
#define TROUBLE_EVERY_US (60 * USEC_PER_SEC)

enum source { SOURCE_KMSG, SOURCE_EXITS, SOURCE_TRACE, SOURCE_COUNT };

static const struct {
	const char *name;
	const char *lost; /* what is told with a count */
} sources[SOURCE_COUNT] = {
	[SOURCE_KMSG] = {"kmsg", "records of the kernel's log were lost before they were read"},
	[SOURCE_EXITS] = {"exits", "times the kernel had to drop ends of processes"},
	[SOURCE_TRACE] = {"trace", "marks of victims were lost"},
};

/* Something went by unread: told with its count, at most once a minute. */
struct trouble {
	uint64_t count;
	uint64_t all;
	int64_t told_us; /* 0 = never */
};

struct oom {
	unsigned magic;
	struct oom_config cfg;
	char *position_path;
	struct event *events[SOURCE_COUNT]; /* NULL = this source is not there */
	struct event *due;                  /* the next verdict */
	struct event *rest;                 /* when ends are listened for again */
	struct kmsg_reader kmsg;
	struct oom_watch *watch;
	struct marks_reader marks;
	struct deaths deaths;
	struct tally tally;
	struct teller teller;
	struct trouble troubles[SOURCE_COUNT];
	bool have_position; /* up to here it was told before this run */
	uint64_t position;
	uint64_t saved; /* what the file says */
	int64_t saved_us;
	bool position_stays; /* a kill was not taken, or the file cannot be written */
	bool told_now;       /* a kill in this turn */
	int64_t began_wall_us;
	int64_t round_us; /* when the counters of cgroups were read */
	int64_t last_counter;
	uint64_t last_kills; /* told at that time */
};

/* ---- trouble ---- */

static void tell_trouble(struct oom *o, enum source s, int64_t now_us)
{
	static const char *const keys[] = {"source", "count"};
	struct trouble *t = &o->troubles[s];
	char count[24];
	const char *values[] = {sources[s].name, count};
	char text[120];

	if (!t->count || (t->told_us && now_us - t->told_us < TROUBLE_EVERY_US))
		return;
	snprintf(count, sizeof(count), "%" PRIu64, t->count);
	snprintf(text, sizeof(text), "%s %s", count, sources[s].lost);
	t->count = 0;
	t->told_us = now_us;
	log_warn("%s_lost count=%s", sources[s].name, count);
	teller_event(&o->teller, WIRE_EVENT_SENSE_TROUBLE, text, keys, values, ARRAY_SIZE(keys));
}

static void note_lost(struct oom *o, enum source s, uint64_t n)
{
	o->troubles[s].count += n;
	o->troubles[s].all += n;
}

static void tell_troubles(struct oom *o, int64_t now_us)
{
	for (int s = 0; s < SOURCE_COUNT; s++)
		tell_trouble(o, s, now_us);
}

/* A source that is not there, or not any more: once, because it is then gone. */
static void lose_source(struct oom *o, enum source s, const char *why)
{
	static const char *const keys[] = {"source", "reason"};
	const char *values[] = {sources[s].name, why};
	char text[WIRE_TEXT_MAX];

	if (o->events[s])
		event_free(take_ptr(o->events[s]));
	if (s == SOURCE_KMSG)
		kmsg_reader_close(&o->kmsg);
	log_warn("%s_not_readable error=\"%s\"", sources[s].name, why);
	snprintf(text, sizeof(text), "%s is not readable: %s", sources[s].name, why);
	teller_event(&o->teller, WIRE_EVENT_SENSE_TROUBLE, text, keys, values, ARRAY_SIZE(keys));
}

/* ---- the position in the kernel's log ---- */

static void save_position(struct oom *o, int64_t now_us)
{
	struct error err;

	o->told_now = false;
	if (!o->position_path || o->position_stays || !o->kmsg.any ||
	    (o->kmsg.seq <= o->position && o->have_position) || o->kmsg.seq == o->saved)
		return;
	o->saved_us = now_us;
	if (position_save(o->position_path, o->cfg.boot_id, o->kmsg.seq, &err) == 0) {
		o->saved = o->kmsg.seq;
		return;
	}
	o->position_stays = true;
	log_warn("position_not_saved error=\"%s\"", err.msg);
}

/* ---- the kernel's log ---- */

static void pressure(struct oom *o)
{
	if (o->cfg.ops.pressure)
		o->cfg.ops.pressure(o->cfg.arg);
}

static void on_kill(struct oom *o, struct oom_kill *k)
{
	bool live = o->kmsg.caught_up;
	uint64_t start;

	if (!live) {
		/* The log's clock may be off by what the host slept; the future is not possible. */
		int64_t ago = clock_us(CLOCK_MONOTONIC) - (int64_t)k->usec;

		k->wall_us -= MAX_OF(ago, (int64_t)0);
	}
	if (teller_kill(&o->teller, k, o->kmsg.record.text, !live, &start) < 0) {
		o->position_stays = true;
		log_warn("kill_dropped seq=%" PRIu64, k->seq);
	}
	o->told_now = true;
	if (!live)
		return;
	if (o->tally.started)
		tally_told(&o->tally);
	deaths_kill(&o->deaths, k, start, clock_boot_us());
	pressure(o);
}

static void on_no_victim(struct oom *o, const struct oom_note *n)
{
	static const char *const keys[] = {"cgroup"};
	char path[OOM_PATH_SIZE];
	const char *values[] = {path};

	str_safe(path, sizeof(path), n->text, strlen(n->text));
	teller_event(&o->teller, WIRE_EVENT_PRESSURE,
		     "memory ran out and no process could be killed", keys, values, *path != '\0');
}

static void take_event(struct oom *o, struct oom_event *e)
{
	/* What the log held before we came: only kills, and those that were not told before. */
	if (!o->kmsg.caught_up &&
	    (e->kind != OOM_EVENT_KILL || (o->have_position && e->seq <= o->position))) {
		if (e->kind == OOM_EVENT_KILL)
			oom_kill_fini(&e->kill);
		return;
	}
	switch (e->kind) {
	case OOM_EVENT_KILL:
		on_kill(o, &e->kill);
		oom_kill_fini(&e->kill);
		return;
	case OOM_EVENT_AGAIN:
		deaths_again(&o->deaths, e->note.pid);
		if (o->tally.started)
			tally_told(&o->tally);
		return;
	case OOM_EVENT_GROUP:
		deaths_group(&o->deaths, &e->group, clock_boot_us());
		return;
	case OOM_EVENT_CRASH:
		deaths_crash(&o->deaths, e->note.pid, e->note.text, clock_boot_us());
		return;
	case OOM_EVENT_KILLER:
		deaths_note(&o->deaths, &e->killer, clock_boot_us());
		return;
	case OOM_EVENT_NO_VICTIM:
		on_no_victim(o, &e->note);
		return;
	case OOM_EVENT_REAPED:
	case OOM_EVENT_EXITING:
	case OOM_EVENT_COUNT:
	default:
		return;
	}
}

static void take_record(struct oom *o, uint64_t lost, bool first)
{
	const struct kmsg_record *r = &o->kmsg.record;
	struct oom_event e;

	/* What was written over while nobody read. */
	if (first && o->have_position)
		lost = kmsg_lost(o->position, r->seq);
	if (lost) {
		oom_watch_gap(o->watch);
		note_lost(o, SOURCE_KMSG, lost);
	}
	if (r->facility == 0)
		teller_hear(&o->teller, r->text, r->len);
	if (oom_watch_feed(o->watch, r, clock_wall_us(), &e))
		take_event(o, &e);
}

static void drain_kmsg(struct oom *o)
{
	for (int i = 0; i < TURN_RECORDS && o->events[SOURCE_KMSG]; i++) {
		bool first = !o->kmsg.any;
		uint64_t lost;
		int r = kmsg_reader_next(&o->kmsg, &lost);

		if (r == KMSG_END)
			break;
		if (r < 0)
			lose_source(o, SOURCE_KMSG, strerror(-r));
		else if (r == KMSG_RECORD)
			take_record(o, lost, first);
	}
	if (o->told_now)
		save_position(o, clock_boot_us());
}

/* ---- the tracepoint ---- */

static void drain_trace(struct oom *o)
{
	struct mark m;
	int64_t lost;

	for (int i = 0; i < TURN_MARKS && o->events[SOURCE_TRACE]; i++) {
		int r = marks_next(&o->marks, &m, &lost);

		if (r == MARKS_NONE)
			return;
		if (r < 0) {
			lose_source(o, SOURCE_TRACE, strerror(-r));
			return;
		}
		note_lost(o, SOURCE_TRACE, (uint64_t)lost);
		if (r != MARKS_MARK)
			continue;
		deaths_mark(&o->deaths, &m, clock_boot_us());
		pressure(o);
	}
}

/* ---- ends of processes ---- */

/* Those whose time has come. */
static void decide(struct oom *o, int64_t now_us)
{
	struct oom_process p;
	struct death_end e;
	struct mark m;
	struct killer_note n;

	while (deaths_next(&o->deaths, now_us, &e))
		teller_death(&o->teller, &e, o->events[SOURCE_KMSG] != NULL);
	/* One that is tracked will have its own end. */
	while (deaths_lone_mark(&o->deaths, now_us, &m))
		if (!o->cfg.ops.find_process(o->cfg.arg, (uint32_t)m.pid, &p))
			teller_mark(&o->teller, &m);
	/* What was written before we came an earlier run may have told. */
	while (deaths_lone_note(&o->deaths, now_us, &n))
		if (n.wall_us >= o->began_wall_us &&
		    !o->cfg.ops.find_process(o->cfg.arg, (uint32_t)n.pid, &p))
			teller_note(&o->teller, &n);
}

static void add_death(struct oom *o, const struct death *x)
{
	if (deaths_add(&o->deaths, x) >= 0)
		return;
	/* Full, or no memory: the oldest makes room, or this one goes untold. */
	decide(o, clock_boot_us());
	if (deaths_add(&o->deaths, x) < 0)
		note_lost(o, SOURCE_EXITS, 1);
}

static void take_exit(struct oom *o, const struct exit_news *news)
{
	struct verdict_exit exit = verdict_exit_of(news->wait_status);
	struct death *late = deaths_unseen(&o->deaths, news->pid);
	struct oom_process p;
	struct death x;

	if (late) {
		late->exit = exit;
		return;
	}
	if (!o->cfg.ops.find_process(o->cfg.arg, news->pid, &p))
		return;
	subject_describe(&o->cfg, news->pid, &p, exit, o->round_us, &x);
	add_death(o, &x);
}

static void drain_exits(struct oom *o)
{
	struct exit_news news;

	for (int i = 0; i < TURN_EXITS && o->events[SOURCE_EXITS]; i++) {
		int r = exits_next(o->cfg.exits_fd, &news);

		if (r == EXITS_NONE)
			return;
		if (r == EXITS_NEWS)
			take_exit(o, &news);
		else if (r == EXITS_GAP)
			note_lost(o, SOURCE_EXITS, 1);
		else if (r < 0)
			lose_source(o, SOURCE_EXITS, strerror(-r));
	}
}

/* ---- turns of the loop ---- */

static void arm(struct oom *o)
{
	int64_t now_us = clock_boot_us();
	/* While there is old log to read, nothing need be new for the next turn. */
	bool behind = o->events[SOURCE_KMSG] && !o->kmsg.caught_up;
	int64_t due_us = behind ? now_us : deaths_due_us(&o->deaths);
	int64_t wait = MAX_OF(due_us - now_us, (int64_t)1000);
	struct timeval tv = {.tv_sec = wait / USEC_PER_SEC, .tv_usec = wait % USEC_PER_SEC};

	if (due_us == INT64_MAX)
		event_del(o->due);
	else
		event_add(o->due, &tv);
}

/* Before a verdict all that has been said is heard, whoever woke us. What memherd does was said
 * before it was done, so it is there when the end is. */
static void turn(struct oom *o, bool all)
{
	drain_exits(o);
	if (o->cfg.ops.hear)
		o->cfg.ops.hear(o->cfg.arg);
	if (all || o->deaths.n_pending) {
		drain_trace(o);
		drain_kmsg(o);
	}
	decide(o, clock_boot_us());
	tell_troubles(o, clock_boot_us());
	arm(o);
}

static void on_exits(unused_arg evutil_socket_t fd, unused_arg short what, void *arg)
{
	struct oom *o = arg;

	MAGIC_CHECK(o, OOM_MAGIC);
	turn(o, false);
	if (!o->events[SOURCE_EXITS])
		return;
	event_del(o->events[SOURCE_EXITS]);
	event_add(o->rest, &(struct timeval){.tv_usec = EXITS_REST_US});
}

static void on_rested(unused_arg evutil_socket_t fd, unused_arg short what, void *arg)
{
	struct oom *o = arg;

	MAGIC_CHECK(o, OOM_MAGIC);
	if (o->events[SOURCE_EXITS])
		event_add(o->events[SOURCE_EXITS], NULL);
}

static void on_any(unused_arg evutil_socket_t fd, unused_arg short what, void *arg)
{
	struct oom *o = arg;

	MAGIC_CHECK(o, OOM_MAGIC);
	turn(o, true);
}

/* ---- the owner's calls ---- */

void oom_before_round(struct oom *o)
{
	turn(o, true);
}

void oom_process_gone(struct oom *o, uint32_t pid, const struct oom_process *p)
{
	struct death x;

	subject_describe(&o->cfg, pid, p, (struct verdict_exit){.known = false}, o->round_us, &x);
	add_death(o, &x);
}

static void tell_mismatch(struct oom *o, enum tally_state state, int64_t n)
{
	static const char *const keys[] = {"count", "counted_by"};
	bool missing = state == TALLY_MISSING;
	char count[24];
	const char *values[] = {count, "/proc/vmstat oom_kill"};
	char text[120];

	snprintf(count, sizeof(count), "%" PRId64, n);
	snprintf(text, sizeof(text), "the kernel counted %s %s %s than were told of", count,
		 n == 1 ? "kill" : "kills", missing ? "more" : "less");
	log_warn("kills_mismatch state=%s count=%s kmsg=%s", missing ? "missing" : "surplus", count,
		 o->events[SOURCE_KMSG] ? "readable" : "not_readable");
	teller_event(&o->teller, WIRE_EVENT_MISMATCH, text, keys, values, ARRAY_SIZE(keys));
}

/* A kill between reading the counter and reading the log must not be taken for a difference: the
 * tally begins where nothing happened for a whole round. */
static void check_tally(struct oom *o, int64_t counter, int64_t now_us)
{
	bool quiet = counter == o->last_counter && o->teller.kills == o->last_kills;
	enum tally_state state;
	int64_t n;

	o->last_counter = counter;
	o->last_kills = o->teller.kills;
	if (counter == METRIC_ABSENT || (o->events[SOURCE_KMSG] && !o->kmsg.caught_up))
		return;
	if (!o->tally.started) {
		if (quiet)
			tally_start(&o->tally, counter);
		return;
	}
	state = tally_check(&o->tally, counter, now_us, &n);
	if (state == TALLY_MISSING || state == TALLY_SURPLUS)
		tell_mismatch(o, state, n);
}

void oom_round(struct oom *o, int64_t vmstat_oom_kill)
{
	int64_t now_us = clock_boot_us();

	o->deaths.memory_limited = o->cfg.host[HOST_METRIC_OVERCOMMIT] == 2;
	turn(o, true);
	check_tally(o, vmstat_oom_kill, now_us);
	teller_round(&o->teller, vmstat_oom_kill);
	o->round_us = now_us;
	if (now_us - o->saved_us >= SAVE_EVERY_US)
		save_position(o, now_us);
}

void oom_flush(struct oom *o)
{
	turn(o, true);
	decide(o, INT64_MAX);
}

bool oom_asks_manager(const struct oom *o)
{
	return deaths_ask_manager(&o->deaths);
}

void oom_note(struct oom *o, const struct killer_note *note)
{
	deaths_note(&o->deaths, note, clock_boot_us());
	arm(o);
}

void oom_own_action(struct oom *o, uint32_t pid, uint64_t start_ticks, enum verdict_action what,
		    const uint8_t id[16])
{
	struct death_action a = {.pid = pid, .start_ticks = start_ticks, .what = what};

	memcpy(a.id, id, sizeof(a.id));
	deaths_action(&o->deaths, &a, clock_boot_us());
}

void oom_own_action_off(struct oom *o, const uint8_t id[16])
{
	deaths_action_off(&o->deaths, id);
}

void oom_set_sshd_unprotected(struct oom *o, bool unprotected)
{
	o->teller.sshd_unprotected = unprotected;
}

struct oom_state oom_state(const struct oom *o)
{
	return (struct oom_state){
		.kmsg = o->events[SOURCE_KMSG],
		.exits = o->events[SOURCE_EXITS],
		.trace = o->events[SOURCE_TRACE],
		.kills = o->teller.kills,
		.deaths = o->teller.deaths,
		.held_back = o->teller.held_back,
		.lost_records = o->troubles[SOURCE_KMSG].all,
		.lost_exits = o->troubles[SOURCE_EXITS].all,
		.lost_marks = o->troubles[SOURCE_TRACE].all,
	};
}

/* ---- begin and end ---- */

static int watch_fd(struct oom *o, enum source s, int fd, event_callback_fn call)
{
	o->events[s] = event_new(o->cfg.base, fd, EV_READ | EV_PERSIST, call, o);
	if (!o->events[s] || event_add(o->events[s], NULL) < 0)
		return -ENOMEM;
	return 0;
}

static int open_sources(struct oom *o, struct error *err)
{
	struct error why;
	int rc = 0;

	if (kmsg_reader_open(&o->kmsg, o->cfg.kmsg_path, &why) < 0)
		lose_source(o, SOURCE_KMSG, why.msg);
	else
		rc = watch_fd(o, SOURCE_KMSG, o->kmsg.fd, on_any);
	marks_init(&o->marks, o->cfg.trace_fd);
	if (rc == 0 && o->cfg.trace_fd >= 0)
		rc = watch_fd(o, SOURCE_TRACE, o->cfg.trace_fd, on_any);
	if (rc == 0 && o->cfg.exits_fd >= 0)
		rc = watch_fd(o, SOURCE_EXITS, o->cfg.exits_fd, on_exits);
	o->due = evtimer_new(o->cfg.base, on_any, o);
	o->rest = evtimer_new(o->cfg.base, on_rested, o);
	if (rc < 0 || !o->due || !o->rest)
		return error_set(err, -ENOMEM, "cannot watch the sources of kills");
	return 0;
}

int oom_new(const struct oom_config *cfg, struct oom **ret, struct error *err)
{
	struct oom *o = calloc(1, sizeof(*o));
	int rc;

	if (!o)
		return error_set(err, -ENOMEM, "out of memory");
	o->magic = OOM_MAGIC;
	o->cfg = *cfg;
	o->kmsg.fd = -1;
	o->began_wall_us = clock_wall_us();
	o->last_counter = METRIC_ABSENT;
	deaths_init(&o->deaths);
	teller_init(&o->teller, &o->cfg);
	rc = oom_watch_new(&o->watch, sysconf(_SC_PAGESIZE));
	if (rc == 0 && cfg->position_path) {
		o->position_path = strdup(cfg->position_path);
		rc = o->position_path ? 0 : -ENOMEM;
	}
	if (rc < 0)
		error_set(err, rc, "out of memory");
	else
		rc = open_sources(o, err);
	if (rc < 0) {
		o->position_stays = true;
		oom_free(&o);
		return rc;
	}
	o->have_position =
		o->position_path && position_load(o->position_path, cfg->boot_id, &o->position);
	o->saved = o->have_position ? o->position : 0;
	arm(o);
	*ret = o;
	return 0;
}

void oom_free(struct oom **o)
{
	struct oom *p = *o;

	if (!p)
		return;
	save_position(p, clock_boot_us());
	for (int s = 0; s < SOURCE_COUNT; s++)
		if (p->events[s])
			event_free(p->events[s]);
	if (p->due)
		event_free(p->due);
	if (p->rest)
		event_free(p->rest);
	kmsg_reader_close(&p->kmsg);
	oom_watch_free(&p->watch);
	deaths_fini(&p->deaths);
	teller_fini(&p->teller);
	free(p->position_path);
	p->magic = 0;
	free(p);
	*o = NULL;
}
