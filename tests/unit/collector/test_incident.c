/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=store_alert_open,--wrap=store_alert_update,--wrap=store_alert_resolve
// link: -Wl,--wrap=store_alert_list,--wrap=store_alert_row,--wrap=db_rows,--wrap=db_ready
// link: -Wl,--wrap=mail_incident,--wrap=dispatch_issue,--wrap=event_new,--wrap=clock_gettime
#include "collector/incident.h"

#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <math.h>

#include "collector/command/dispatch.h"
#include "collector/incident_inner.h"
#include "collector/notify/mail.h"
#include "collector/rule/engine.h"
#include "collector/store/store_alert.h"
#include "common/clock.h"
#include "common/fs.h"
#include "tests/support/test.h"

#define HOST_ID 7
#define PROC_ID 1234
#define MIB     1024 /* in KiB, as samples are */
#define SEC     USEC_PER_SEC
#define ANSWERS 32
#define KEY     "big|7|process|1234"

static const char rules[] =
	"rule big on process {\n"
	"	why \"it is big\"; warmup 0s;\n"
	"	level log when rss > 100MiB clear rss < 90MiB for 0s;\n"
	"	level mail when rss > 200MiB clear rss < 190MiB for 0s;\n"
	"	level trim when rss > 300MiB clear rss < 290MiB for 0s max 4 per 1h;\n"
	"}\n"
	"rule leaky on process where python {\n"
	"	why \"it leaks\"; warmup 0s; census every 30min max 2;\n"
	"	level mail when rss > 600MiB clear rss < 590MiB for 0s;\n"
	"}\n"
	"rule silent on host { why \"nothing comes\"; missing fire after 1s; level mail; }\n";

/* A row's statement that was accepted, and who waits for its answer. */
struct said {
	char verb; /* 'o'pen, 'u'pdate, 'r'esolve, 'l'ist */
	struct alert_row row;
	char key[RULE_KEY_SIZE];
	char level[16];
	char doc[4096];
	db_done *done;
	void *arg;
};

/* The database, the mailer and the dispatcher as incidents see them. */
static struct fake {
	bool away;
	struct said said[ANSWERS];
	size_t n, answered;
	struct alert_row rows[4];
	size_t n_rows;
	unsigned mails;
	struct incident_mail mail; /* the last; its strings are void by now */
	char summary[512];
	size_t sections;
	unsigned issued;
	int issue_rc;
	struct action_request request;
	char asked[80];   /* action and actor */
	int64_t later_us; /* the boot clock is ahead by this */
	void (*sweep)(evutil_socket_t, short, void *);
	void *sweep_arg;
} fake;

static int say(char verb, const struct alert_row *row, db_done *done, void *arg)
{
	struct said *s = &fake.said[fake.n];

	if (fake.away)
		return -ENOTCONN;
	assert_true(fake.n++ < ANSWERS);
	*s = (struct said){.verb = verb, .done = done, .arg = arg};
	if (!row)
		return 0;
	s->row = *row;
	snprintf(s->key, sizeof(s->key), "%s", row->key);
	snprintf(s->level, sizeof(s->level), "%s", row->level);
	snprintf(s->doc, sizeof(s->doc), "%s", row->doc);
	return 0;
}

int __wrap_store_alert_open(struct db *db unused_arg, const struct alert_row *row, db_done *done,
			    void *arg)
{
	return say('o', row, done, arg);
}

int __wrap_store_alert_update(struct db *db unused_arg, const struct alert_row *row, db_done *done,
			      void *arg)
{
	return say('u', row, done, arg);
}

int __wrap_store_alert_resolve(struct db *db unused_arg, const struct alert_row *row, db_done *done,
			       void *arg)
{
	return say('r', row, done, arg);
}

int __wrap_store_alert_list(struct db *db unused_arg, const struct alert_filter *f unused_arg,
			    db_done *done, void *arg)
{
	return say('l', NULL, done, arg);
}

void __wrap_store_alert_row(const struct db_result *r unused_arg, size_t i, struct alert_row *ret)
{
	*ret = fake.rows[i];
}

size_t __wrap_db_rows(const struct db_result *r unused_arg)
{
	return fake.n_rows;
}

bool __wrap_db_ready(const struct db *db unused_arg)
{
	return !fake.away;
}

int __wrap_mail_incident(struct mailer *m unused_arg, const struct incident_mail *mail,
			 struct error *err unused_arg)
{
	fake.mails++;
	fake.mail = *mail;
	snprintf(fake.summary, sizeof(fake.summary), "%s", mail->summary ? mail->summary : "");
	fake.sections = mail->section_count;
	return 0;
}

int __wrap_dispatch_issue(struct dispatch *d unused_arg, const struct action_request *r,
			  dispatch_done *done unused_arg, void *arg unused_arg, struct error *err)
{
	fake.issued++;
	fake.request = *r;
	snprintf(fake.asked, sizeof(fake.asked), "%s %s", r->action, r->actor);
	return fake.issue_rc ? error_set(err, fake.issue_rc, "no") : 0;
}

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = __real_clock_gettime(id, ts);

	if (id == CLOCK_BOOTTIME)
		ts->tv_sec += fake.later_us / USEC_PER_SEC;
	return rc;
}

struct event *__real_event_new(struct event_base *base, evutil_socket_t fd, short what,
			       event_callback_fn cb, void *arg);
struct event *__wrap_event_new(struct event_base *base, evutil_socket_t fd, short what,
			       event_callback_fn cb, void *arg)
{
	if (what & EV_PERSIST) {
		fake.sweep = cb;
		fake.sweep_arg = arg;
	}
	return __real_event_new(base, fd, what, cb, arg);
}

/* The oldest statement without an answer gets this one. */
static void answer(int rc, int64_t alert_id)
{
	struct said *s = &fake.said[fake.answered];
	const struct error err = {"refused"};

	assert_true(fake.answered++ < fake.n);
	fake.rows[0] = (struct alert_row){.alert_id = alert_id};
	fake.n_rows = 1;
	if (s->done)
		s->done(s->arg, rc, NULL, &err);
}

static void sweep(void)
{
	fake.sweep(-1, EV_TIMEOUT, fake.sweep_arg);
}

static const struct said *last_said(void)
{
	assert_true(fake.n > 0);
	return &fake.said[fake.n - 1];
}

struct world {
	char dir[64];
	struct event_base *base;
	struct registry registry;
	struct host *host;
	struct process *process;
	struct incidents *all;
	int64_t t_us;
	bool restored;
};

static void on_restored(void *arg)
{
	((struct world *)arg)->restored = true;
}

static void start(struct world *w)
{
	struct error err = {""};

	fake.n = fake.answered = 0;
	assert_int_equal(incidents_new(w->base, w->dir, &w->registry, &w->all, &err), 0);
	incidents_connect(w->all, (struct db *)&fake, (struct mailer *)&fake,
			  (struct dispatch *)&fake);
	assert_int_equal(incidents_restore(w->all, on_restored, w), 0);
	assert_false(w->restored);
}

static void answer_list(struct world *w, size_t rows)
{
	assert_int_equal(fake.said[fake.answered].verb, 'l');
	fake.n_rows = rows;
	fake.said[fake.answered].done(fake.said[fake.answered].arg, 0, NULL, NULL);
	fake.answered++;
	assert_true(w->restored);
}

static void make_process(struct world *w)
{
	const struct wire_process info = {.pid = 42,
					  .start_ticks = 99,
					  .comm = "python3",
					  .cmdline = "python3 app.py",
					  .exe = "/usr/bin/python3",
					  .cgroup = "/",
					  .container = "",
					  .service = "shop"};

	w->process = registry_process(w->host, PROC_ID, &info, w->t_us);
	assert_non_null(w->process);
}

/* A round later the process has so much, and its host is told. */
static void sample(struct world *w, int64_t rss)
{
	int64_t v[METRIC_COUNT];

	for (int i = 0; i < METRIC_COUNT; i++)
		v[i] = METRIC_ABSENT;
	v[METRIC_RSS] = rss;
	w->t_us += 2 * SEC;
	registry_sample(w->process, v, w->t_us);
	incidents_process(w->all, w->host, w->process, w->t_us);
	incidents_host(w->all, w->host, w->t_us);
}

static int set_up(void **state)
{
	static const uint8_t uuid[16] = {1};
	struct world *w = calloc(1, sizeof(*w));
	struct error err = {""};
	char path[96];

	fake = (struct fake){0};
	strcpy(w->dir, "/tmp/memherd-test-incident-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(path, sizeof(path), "%s/a.rules", w->dir);
	assert_int_equal(fs_write(path, 0600, rules, strlen(rules), &err), 0);
	w->base = event_base_new();
	w->t_us = clock_wall_us() - 200 * SEC;
	registry_init(&w->registry);
	w->host = registry_host(&w->registry, HOST_ID, uuid, "vps-1");
	make_process(w);
	start(w);
	answer_list(w, 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	char path[96];

	/* The database lets go of what it was asked before it is freed. */
	while (fake.answered < fake.n) {
		struct said *s = &fake.said[fake.answered++];

		if (s->done)
			s->done(s->arg, -EPIPE, NULL, NULL);
	}
	incidents_free(&w->all);
	registry_fini(&w->registry);
	event_base_free(w->base);
	snprintf(path, sizeof(path), "%s/a.rules", w->dir);
	unlink(path);
	rmdir(w->dir);
	free(w);
	return 0;
}

static void raised_is_a_row_and_then_one_mail_with_its_number(void **state)
{
	struct world *w = *state;

	sample(w, 250 * MIB);
	assert_int_equal(fake.n - fake.answered, 1);
	assert_int_equal(last_said()->verb, 'o');
	assert_string_equal(last_said()->key, KEY);
	assert_int_equal(last_said()->row.proc_id, PROC_ID);
	assert_non_null(strstr(last_said()->doc, "\"comm\":\"python3\""));
	assert_int_equal(fake.mails, 0);
	answer(0, 42);
	assert_int_equal(fake.mails, 1);
	assert_int_equal(fake.mail.incident, 42);
	assert_int_equal(fake.mail.sequence, 1);
	assert_int_equal(fake.mail.state, MAIL_FIRING);
	/* The row learns of its level and its mail. */
	assert_int_equal(last_said()->verb, 'u');
	assert_string_equal(last_said()->level, "mail");
	assert_non_null(strstr(last_said()->doc, "\"mails\":1"));
	answer(0, 42);
	sample(w, 250 * MIB);
	sweep();
	assert_int_equal(fake.n, fake.answered);
	assert_int_equal(fake.mails, 1);
}

static void a_log_is_not_mailed_before_it_is_worse(void **state)
{
	struct world *w = *state;

	sample(w, 150 * MIB);
	answer(0, 42);
	sample(w, 150 * MIB);
	assert_int_equal(fake.mails, 0);
	sample(w, 250 * MIB);
	assert_int_equal(fake.mails, 1);
	assert_int_equal(fake.mail.state, MAIL_FIRING);
	answer(0, 42);
	/* Down to 'log', and worse again. */
	sample(w, 150 * MIB);
	sample(w, 250 * MIB);
	assert_int_equal(fake.mails, 2);
	assert_int_equal(fake.mail.state, MAIL_ESCALATED);
	assert_int_equal(fake.mail.sequence, 2);
}

static void resolved_mails_once_and_closes_the_row(void **state)
{
	struct world *w = *state;

	sample(w, 250 * MIB);
	answer(0, 42);
	answer(0, 42);
	sample(w, 10 * MIB);
	assert_int_equal(fake.mails, 2);
	assert_int_equal(fake.mail.state, MAIL_RESOLVED);
	assert_int_equal(last_said()->verb, 'r');
	assert_int_equal(last_said()->row.alert_id, 42);
	assert_true(last_said()->row.resolved_value == 10.0 * MIB * 1024);
	answer(0, 42);
	sweep();
	assert_int_equal(fake.n, fake.answered);
	assert_int_equal(fake.mails, 2);
	/* What comes next is another alert. */
	sample(w, 250 * MIB);
	assert_int_equal(last_said()->verb, 'o');
	assert_int_equal(last_said()->row.alert_id, 0);
}

/* The answer to 'resolve' was lost: until the row says so, the alert is not forgotten. */
static void a_close_that_failed_is_tried_again(void **state)
{
	struct world *w = *state;
	struct incident_counts counts;

	sample(w, 150 * MIB);
	answer(0, 42);
	sample(w, 10 * MIB);
	assert_int_equal(last_said()->verb, 'r');
	/* It fires again while that is under way: the closed row is not its own any more. */
	sample(w, 150 * MIB);
	answer(0, 42);
	sweep();
	assert_int_equal(last_said()->verb, 'o');
	answer(0, 43);
	sweep();
	incidents_counts(w->all, &counts);
	assert_int_equal(counts.firing[RULE_LOG], 1);
}

static void without_a_database_the_mail_goes_and_the_row_comes_later(void **state)
{
	struct world *w = *state;

	fake.away = true;
	sample(w, 250 * MIB);
	assert_int_equal(fake.mails, 1);
	assert_int_equal(fake.mail.incident, 0);
	sweep();
	assert_int_equal(fake.n, fake.answered);
	fake.away = false;
	sweep();
	assert_int_equal(last_said()->verb, 'o');
	assert_non_null(strstr(last_said()->doc, "\"mails\":1"));
	answer(0, 42);
	sample(w, 10 * MIB);
	assert_int_equal(fake.mails, 2);
	assert_int_equal(fake.mail.incident, 42);
	assert_int_equal(last_said()->verb, 'r');
}

static void what_came_and_went_without_a_database_has_a_row_too(void **state)
{
	struct world *w = *state;

	fake.away = true;
	sample(w, 150 * MIB);
	sample(w, 10 * MIB);
	fake.away = false;
	sweep();
	assert_int_equal(last_said()->verb, 'o');
	answer(0, 42);
	sweep();
	assert_int_equal(last_said()->verb, 'r');
	assert_int_equal(last_said()->row.alert_id, 42);
	answer(0, 42);
	sweep();
	assert_int_equal(fake.n, fake.answered);
}

static void an_action_waits_for_its_alerts_number(void **state)
{
	struct world *w = *state;

	sample(w, 400 * MIB);
	assert_int_equal(fake.issued, 0);
	answer(0, 42);
	assert_int_equal(fake.issued, 1);
	assert_int_equal(fake.request.alert_id, 42);
	assert_int_equal(fake.request.proc_id, PROC_ID);
	/* One mail although three levels came on at once. */
	assert_int_equal(fake.mails, 1);
	assert_int_equal(fake.mail.state, MAIL_FIRING);
}

static struct action_row action(const char *state)
{
	struct action_row row = {.host_id = HOST_ID,
				 .proc_id = PROC_ID,
				 .alert_id = 42,
				 .rss_before = 400,
				 .rss_after = 100};

	strcpy(row.action, "trim");
	strcpy(row.actor, "rule:big");
	strcpy(row.state, state);
	return row;
}

static void what_an_action_gained_is_mailed_and_stored(void **state)
{
	struct world *w = *state;
	struct action_row row = action("done");

	sample(w, 400 * MIB);
	answer(0, 42);
	answer(0, 42);
	incidents_action_finished(w->all, &row);
	assert_int_equal(fake.mails, 2);
	assert_int_equal(fake.mail.state, MAIL_ACTION);
	assert_int_equal(fake.mail.action_count, 1);
	assert_non_null(strstr(last_said()->doc, "\"rss_after_bytes\":100"));
}

/* Told in the alert's thread when it waits, and again, in its place, when it has ended. */
static void what_waits_for_approval_is_mailed(void **state)
{
	struct world *w = *state;
	struct action_row row = action(ACTION_WAITING);

	sample(w, 400 * MIB);
	answer(0, 42);
	answer(0, 42);
	row.expires_us = 1764300000000000;
	incidents_action_asked(w->all, 0, &row, NULL);
	assert_int_equal(fake.mails, 2);
	assert_int_equal(fake.mail.state, MAIL_ACTION);
	assert_int_equal(fake.mail.action_count, 1);
	answer(0, 42);
	assert_non_null(strstr(last_said()->doc, "waits for approval until 2025-11-28T03:20:00Z: "
						 "memherd approve "));
	strcpy(row.state, "expired");
	strcpy(row.detail, "nobody approved it in time");
	incidents_action_finished(w->all, &row);
	incidents_action_finished(w->all, &row);
	assert_int_equal(fake.mails, 3);
	assert_int_equal(fake.mail.action_count, 1);
	answer(0, 42);
	assert_non_null(strstr(last_said()->doc, "nobody approved it in time"));
	assert_null(strstr(last_said()->doc, ACTION_WAITING));
}

static void what_has_to_wait_is_asked_again(void **state)
{
	const struct error why = {"it cools down for another 9 min"};
	struct world *w = *state;
	struct action_row row = action("");

	sample(w, 400 * MIB);
	answer(0, 42);
	assert_int_equal(fake.issued, 1);
	incidents_action_asked(w->all, -EAGAIN, &row, &why);
	sweep();
	assert_int_equal(fake.issued, 1);
	answer(0, 42);
	sweep();
	assert_non_null(strstr(last_said()->doc, "\"action_waits\":\"it cools down"));
	fake.later_us += 16 * USEC_PER_SEC;
	sweep();
	assert_int_equal(fake.issued, 2);
	incidents_action_asked(w->all, -EDQUOT, &row, &why);
	sweep();
	assert_int_equal(fake.issued, 2);
	fake.later_us += 16 * USEC_PER_SEC;
	sweep();
	assert_int_equal(fake.issued, 3);
	incidents_action_asked(w->all, 0, &row, NULL);
	fake.later_us += 60 * USEC_PER_SEC;
	sweep();
	assert_int_equal(fake.issued, 3);
}

static void maintenance_is_waited_for_and_said_whole(void **state)
{
	struct error why = {"maintenance 3 holds until 2026-12-01T06:00:00Z, set by token:ops: "};
	struct world *w = *state;
	struct action_row row = action("");

	while (strlen(why.msg) < 250)
		strcat(why.msg, "\xc3\xa4");
	sample(w, 400 * MIB);
	answer(0, 42);
	incidents_action_asked(w->all, -EPERM, &row, &why);
	sweep();
	answer(0, 42);
	sweep();
	assert_non_null(strstr(last_said()->doc, "\"action_waits\":\"maintenance 3 holds until"));
	fake.later_us += 16 * USEC_PER_SEC;
	sweep();
	assert_int_equal(fake.issued, 2);
	incidents_action_asked(w->all, 0, &row, NULL);
	fake.later_us += 60 * USEC_PER_SEC;
	sweep();
	assert_int_equal(fake.issued, 2);
}

static void what_waits_is_dropped_with_its_reason(void **state)
{
	const struct error why = {"the rule's breaker is open"};
	struct world *w = *state;
	struct action_row row = action("");

	sample(w, 400 * MIB);
	answer(0, 42);
	incidents_action_asked(w->all, -EAGAIN, &row, &why);
	sample(w, 50 * MIB);
	fake.later_us += 60 * USEC_PER_SEC;
	sweep();
	assert_int_equal(fake.issued, 1);
}

static void what_regrew_is_mailed(void **state)
{
	struct world *w = *state;
	struct action_row row = action("done");

	sample(w, 400 * MIB);
	answer(0, 42);
	answer(0, 42);
	incidents_action_finished(w->all, &row);
	assert_int_equal(fake.mails, 2);
	strcpy(row.verdict, "gained");
	incidents_action_verified(w->all, &row);
	assert_int_equal(fake.mails, 2);
	strcpy(row.verdict, "regrew");
	strcpy(row.effects,
	       "[{\"after_seconds\":600,\"time\":\"2026-11-23T01:02:03.000Z\","
	       "\"process_id\":\"1\",\"pid\":1,\"rss_bytes\":390,\"pss_bytes\":null}]");
	incidents_action_verified(w->all, &row);
	assert_int_equal(fake.mails, 3);
	assert_int_equal(fake.mail.state, MAIL_ACTION);
	row.alert_id = 43;
	incidents_action_verified(w->all, &row);
	assert_int_equal(fake.mails, 3);
}

static void a_strangers_action_is_nobodys(void **state)
{
	struct world *w = *state;
	struct action_row row = action("done");

	row.alert_id = 0;
	strcpy(row.actor, "token:ops");
	sample(w, 150 * MIB);
	answer(0, 42);
	incidents_action_finished(w->all, &row);
	assert_int_equal(fake.mails, 0);
}

static void two_in_vain_stand_down(void **state)
{
	struct world *w = *state;
	struct action_row row = action("ineffective");

	sample(w, 400 * MIB);
	answer(0, 42);
	answer(0, 42);
	incidents_action_finished(w->all, &row);
	sample(w, 400 * MIB);
	assert_int_equal(fake.issued, 2);
	fake.mails = 0;
	incidents_action_finished(w->all, &row);
	assert_int_equal(fake.mails, 0); /* told twice */
	row.cmd_id[0]++;
	incidents_action_finished(w->all, &row);
	assert_true(fake.mails >= 1);
	assert_int_equal(fake.mail.state, MAIL_ACTION);
	sample(w, 400 * MIB);
	assert_int_equal(fake.issued, 2);
	while (fake.answered < fake.n)
		answer(0, 42);
	sweep();
	while (fake.answered < fake.n)
		answer(0, 42);
	assert_non_null(strstr(last_said()->doc, "\"stood_down\":true"));
}

/* The engine is told outside its own callback: else it would wait for a result for ten minutes. */
static void a_refused_action_is_told_by_the_sweep(void **state)
{
	struct world *w = *state;

	fake.issue_rc = -EOPNOTSUPP;
	sample(w, 400 * MIB);
	answer(0, 42);
	assert_int_equal(fake.issued, 1);
	sample(w, 400 * MIB);
	assert_int_equal(fake.issued, 1);
	sweep();
	sample(w, 400 * MIB);
	assert_int_equal(fake.issued, 2);
}

static void a_process_that_exits_takes_its_alerts_along(void **state)
{
	struct world *w = *state;

	sample(w, 250 * MIB);
	answer(0, 42);
	answer(0, 42);
	incidents_exit(w->all, w->host, w->process, w->t_us);
	registry_remove_process(w->host, w->process);
	assert_int_equal(last_said()->verb, 'r');
	assert_int_equal(fake.mails, 2);
	assert_int_equal(fake.mail.state, MAIL_RESOLVED);
}

/* What a row of an alert that was firing looks like after the collector was started again. */
static struct alert_row stored(const char *doc)
{
	return (struct alert_row){.alert_id = 42,
				  .key = KEY,
				  .rule = "big",
				  .host_id = HOST_ID,
				  .subject = "process",
				  .proc_id = PROC_ID,
				  .service = "",
				  .level = "trim",
				  .state = "firing",
				  .opened_us = clock_wall_us() - 300 * SEC,
				  .first_value = 1e8,
				  .peak_value = 4e8,
				  .last_value = 4e8,
				  .title = "vps-1 shop: big",
				  .doc = doc};
}

static void restart(struct world *w, const struct alert_row *row)
{
	incidents_free(&w->all);
	w->restored = false;
	fake.mails = fake.issued = 0;
	start(w);
	fake.rows[0] = *row;
	answer_list(w, 1);
}

static void a_restart_raises_and_mails_nothing_anew(void **state)
{
	struct world *w = *state;
	struct alert_row row = stored(
		"{\"explain\":\"rss = "
		"400MiB\",\"actions\":[{\"type\":\"trim\",\"detail\":\"old\"}],"
		"\"state\":{\"mails\":3,\"ineffective\":2,\"stood_down\":true,\"acted_us\":1}}");

	restart(w, &row);
	sample(w, 400 * MIB);
	sample(w, 400 * MIB);
	sweep();
	assert_int_equal(fake.n, 1); /* the list */
	assert_int_equal(fake.mails, 0);
	assert_int_equal(fake.issued, 0); /* it stood down before */
	/* The evidence of before is kept, and the mails go on counting. */
	sample(w, 10 * MIB);
	assert_int_equal(fake.mails, 1);
	assert_int_equal(fake.mail.sequence, 4);
	assert_int_equal(fake.mail.state, MAIL_RESOLVED);
	assert_int_equal(last_said()->verb, 'r');
	assert_int_equal(last_said()->row.alert_id, 42);
	assert_non_null(strstr(last_said()->doc, "\"detail\":\"old\""));
}

/* The row counts a mail that was never queued: who wrote it was killed in between. */
static void a_mail_that_was_only_counted_is_sent(void **state)
{
	struct world *w = *state;
	struct alert_row row = stored("{\"explain\":\"rss = 400MiB\",\"state\":{\"mails\":1}}");

	row.level = "mail";
	restart(w, &row);
	incidents_lead(w->all, true);
	assert_int_equal(fake.mails, 0); /* it was queued */
	row.unmailed = true;
	restart(w, &row);
	incidents_lead(w->all, true);
	assert_int_equal(fake.mails, 1);
	assert_int_equal(fake.mail.state, MAIL_FIRING);
	assert_int_equal(fake.mail.sequence, 1);
	incidents_lead(w->all, true);
	assert_int_equal(fake.mails, 1);
}

static void an_action_of_before_the_restart_finds_its_alert(void **state)
{
	struct world *w = *state;
	struct alert_row row = stored("{\"state\":{\"mails\":1}}");
	struct action_row done = action("done");

	restart(w, &row);
	incidents_action_finished(w->all, &done);
	assert_int_equal(fake.mails, 1);
	assert_int_equal(fake.mail.state, MAIL_ACTION);
	assert_int_equal(fake.mail.sequence, 2);
	assert_int_equal(last_said()->verb, 'u');
}

static void alerts_of_rules_that_are_gone_are_closed(void **state)
{
	struct world *w = *state;
	struct alert_row row = stored("no json");

	row.key = "other|7|process|1234";
	restart(w, &row);
	assert_int_equal(last_said()->verb, 'r');
	row.key = "no key";
	restart(w, &row);
	assert_int_equal(last_said()->verb, 'r');
	row = stored("{\"state\":3,\"actions\":{},\"explain\":[]}");
	restart(w, &row); /* a document of another shape is no reason to drop it */
	assert_int_equal(last_said()->verb, 'l');
}

static void a_host_that_never_comes_is_told(void **state)
{
	struct world *w = *state;

	incidents_expect(w->all, w->host);
	sweep();
	assert_int_equal(fake.n, fake.answered);
	usleep(1100 * 1000);
	sweep();
	assert_int_equal(last_said()->verb, 'o');
	assert_string_equal(last_said()->key, "silent|7|host|0");
	assert_non_null(strstr(last_said()->row.title, "vps-1"));
}

/* An interpreter is in the process, and its host has a root helper. */
static void make_python(struct world *w, int64_t rss)
{
	int64_t v[METRIC_COUNT];

	w->host->connected = w->host->act = true;
	for (int i = 0; i < METRIC_COUNT; i++)
		v[i] = METRIC_ABSENT;
	v[METRIC_RSS] = v[METRIC_ANON] = rss;
	v[METRIC_GC0] = 5;
	w->t_us += 2 * SEC;
	registry_sample(w->process, v, w->t_us);
	incidents_process(w->all, w->host, w->process, w->t_us);
	incidents_host(w->all, w->host, w->t_us);
}

static void counted(struct world *w, uint64_t k, int64_t t_us)
{
	struct wire_census_type type = {"app.Entry", 1000 * k, k << 20};
	struct wire_census c = {.method = CENSUS_METHOD_SNAPSHOT,
				.objects = 1000 * k,
				.bytes = k << 20,
				.types_total = 1,
				.types = &type,
				.n_types = 1};

	for (int i = 0; i < HEAP_PART_COUNT; i++)
		c.parts[i] = HEAP_ABSENT;
	c.parts[HEAP_PART_RSS] = (int64_t)(k << 20) + (600 << 20);
	registry_census(w->process, &c, (int64_t)k, t_us);
}

static void answer_all(void)
{
	while (fake.answered < fake.n)
		answer(0, 42);
}

static void a_rule_asks_for_censuses_within_limits(void **state)
{
	struct world *w = *state;
	struct incident *i;

	make_python(w, 650 * MIB);
	sweep();
	assert_int_equal(fake.issued, 0); /* it belongs to its alert, which has no number yet */
	answer_all();
	sweep();
	assert_int_equal(fake.issued, 2);
	assert_string_equal(fake.asked, "census rule:leaky"); /* the other was big's trim */
	assert_int_equal(fake.request.proc_id, PROC_ID);
	assert_int_equal(fake.request.alert_id, 42);
	i = incident_find(w->all, "leaky|7|process|1234");
	assert_non_null(i);
	answer_all();
	sweep();
	assert_int_equal(fake.issued, 2);
	i->census_us -= 31 * 60 * SEC; /* half an hour later */
	sweep();
	assert_int_equal(fake.issued, 2); /* but somebody asked within ten minutes */
	w->process->python->asked_us -= 31 * 60 * SEC;
	sweep();
	assert_int_equal(fake.issued, 3);
	i->census_us = w->process->python->asked_us = 0;
	answer_all();
	sweep();
	assert_int_equal(fake.issued, 3); /* at most 2 */
}

static void a_census_by_others_is_as_good(void **state)
{
	struct world *w = *state;
	struct incident *i;

	make_python(w, 650 * MIB);
	answer_all();
	counted(w, 1, clock_wall_us() - 60 * SEC);
	sweep();
	answer_all();
	assert_int_equal(fake.issued, 1); /* big's trim */
	i = incident_find(w->all, "leaky|7|process|1234");
	assert_int_equal(i->censuses, 1);
	w->process->python->base->t_us -= 31 * 60 * SEC;
	i->census_us -= 31 * 60 * SEC;
	fake.issue_rc = -EOPNOTSUPP;
	sweep();
	assert_int_equal(fake.issued, 2);
	assert_int_equal(i->censuses, 1); /* it was refused */
	w->host->act = false;
	i->census_us = w->process->python->asked_us = 0;
	sweep();
	assert_int_equal(fake.issued, 2);
}

static void what_grows_is_told_by_row_and_mail(void **state)
{
	struct world *w = *state;

	counted(w, 1, w->t_us - 1800 * SEC);
	counted(w, 41, w->t_us - 10 * SEC);
	make_python(w, 650 * MIB);
	answer_all();
	assert_true(fake.mails > 0);
	assert_non_null(strstr(fake.summary, "shop keeps more and more Python objects"));
	assert_non_null(strstr(fake.summary, "app.Entry (+40000, +40 MiB) (certain)."));
	assert_int_equal(fake.sections, 1);
	sweep();
	answer_all();
	assert_non_null(strstr(last_said()->doc, "\"verdict\":{\"kind\":\"python_objects\""));
	counted(w, 99, w->t_us);
	sweep();
	answer_all();
	assert_non_null(strstr(last_said()->doc, "+98 MiB"));
}

/* The end of a census is neither mailed nor an action in vain. */
static void a_census_is_no_attempt(void **state)
{
	struct world *w = *state;
	struct action_row row = {.host_id = HOST_ID, .proc_id = PROC_ID, .alert_id = 42};
	unsigned mails;

	make_python(w, 650 * MIB);
	answer_all();
	mails = fake.mails;
	snprintf(row.action, sizeof(row.action), "census");
	snprintf(row.state, sizeof(row.state), "failed");
	for (int n = 0; n < 5; n++)
		incidents_action_finished(w->all, &row);
	assert_int_equal(fake.mails, mails);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(raised_is_a_row_and_then_one_mail_with_its_number),
		TEST(a_log_is_not_mailed_before_it_is_worse),
		TEST(resolved_mails_once_and_closes_the_row),
		TEST(a_close_that_failed_is_tried_again),
		TEST(without_a_database_the_mail_goes_and_the_row_comes_later),
		TEST(what_came_and_went_without_a_database_has_a_row_too),
		TEST(an_action_waits_for_its_alerts_number),
		TEST(what_an_action_gained_is_mailed_and_stored),
		TEST(what_has_to_wait_is_asked_again),
		TEST(maintenance_is_waited_for_and_said_whole),
		TEST(what_waits_for_approval_is_mailed),
		TEST(what_waits_is_dropped_with_its_reason),
		TEST(what_regrew_is_mailed),
		TEST(a_strangers_action_is_nobodys),
		TEST(two_in_vain_stand_down),
		TEST(a_refused_action_is_told_by_the_sweep),
		TEST(a_process_that_exits_takes_its_alerts_along),
		TEST(a_restart_raises_and_mails_nothing_anew),
		TEST(a_mail_that_was_only_counted_is_sent),
		TEST(an_action_of_before_the_restart_finds_its_alert),
		TEST(alerts_of_rules_that_are_gone_are_closed),
		TEST(a_host_that_never_comes_is_told),
		TEST(a_rule_asks_for_censuses_within_limits),
		TEST(a_census_by_others_is_as_good),
		TEST(what_grows_is_told_by_row_and_mail),
		TEST(a_census_is_no_attempt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
