/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=store_alert_open,--wrap=store_alert_update,--wrap=store_alert_resolve
// link: -Wl,--wrap=store_alert_list,--wrap=store_alert_row,--wrap=db_rows,--wrap=db_ready
// link: -Wl,--wrap=mail_incident,--wrap=event_new,--wrap=event_add
// link: -Wl,--wrap=clock_gettime
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "collector/kill_alert.h"

#include <errno.h>
#include <event2/event.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "collector/notify/body.h"
#include "collector/notify/mail.h"
#include "collector/store/store_alert.h"
#include "common/clock.h"
#include "tests/support/alloc.h"
#include "tests/support/test.h"

#define HOST_ID 7
#define KEY     "oom_kill|host|7"
#define SEC     USEC_PER_SEC
#define MIN_US  (60 * SEC)
#define MIB     1024
#define HOSTILE "x) \n<b>\r\nBcc: a@b"
#define ANSWERS 32

/* A row's statement that was accepted, and who waits for its answer. */
struct said {
	char verb; /* 'o'pen, 'u'pdate, 'r'esolve, 'l'ist */
	struct alert_row row;
	char key[64], title[1100], doc[65536];
	db_done *done;
	void *arg;
};

/* The database, the mailer, the clock and the loop as the module sees them. */
static struct fake {
	bool away;
	struct said said[ANSWERS];
	size_t n, answered;
	struct alert_row rows[4];
	size_t n_rows;
	bool unmailed; /* no mail of the row was queued */
	unsigned mails;
	int mail_rc;
	struct incident_mail mail; /* the last; its strings are void by now */
	char subject[1024], text[BODY_TEXT_MAX], html[BODY_HTML_MAX];
	int64_t now_us;
	void (*turn)(evutil_socket_t, short, void *);
	void *turn_arg;
	int64_t wait_us; /* as the timer was set last */
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
	snprintf(s->key, sizeof(s->key), "%s", row->key ? row->key : "");
	snprintf(s->title, sizeof(s->title), "%s", row->title);
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

/* What is mailed is kept as people read it. */
int __wrap_mail_incident(struct mailer *m unused_arg, const struct incident_mail *mail,
			 struct error *err)
{
	auto_buf struct buf subject = BUF_INIT(sizeof(fake.subject) - 1);
	auto_buf struct buf text = BUF_INIT(BODY_TEXT_MAX), html = BUF_INIT(BODY_HTML_MAX);
	struct incident_mail full = *mail;

	fake.mails++;
	fake.mail = *mail;
	full.base_url = "http://x";
	message_subject(&subject, &full);
	body_text(&text, &full);
	body_html(&html, &full);
	snprintf(fake.subject, sizeof(fake.subject), "%s", subject.data);
	snprintf(fake.text, sizeof(fake.text), "%s", text.data);
	snprintf(fake.html, sizeof(fake.html), "%s", html.data);
	return fake.mail_rc ? error_set(err, fake.mail_rc, "no") : 0;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_clock_gettime(clockid_t id unused_arg, struct timespec *ret)
{
	*ret = (struct timespec){.tv_sec = fake.now_us / SEC, .tv_nsec = fake.now_us % SEC * 1000};
	return 0;
}

struct event *__real_event_new(struct event_base *base, evutil_socket_t fd, short what,
			       event_callback_fn cb, void *arg);
struct event *__wrap_event_new(struct event_base *base, evutil_socket_t fd, short what,
			       event_callback_fn cb, void *arg)
{
	fake.turn = cb;
	fake.turn_arg = arg;
	return __real_event_new(base, fd, what, cb, arg);
}

int __wrap_event_add(struct event *e, const struct timeval *tv);
int __wrap_event_add(struct event *e unused_arg, const struct timeval *tv)
{
	fake.wait_us = tv->tv_sec * SEC + tv->tv_usec;
	return 0;
}

/* The oldest statement without an answer gets this one. */
static void answer(int rc, int64_t alert_id)
{
	struct said *s = &fake.said[fake.answered];
	const struct error err = {"refused"};

	assert_true(fake.answered++ < fake.n);
	fake.rows[0] = (struct alert_row){.alert_id = alert_id};
	fake.n_rows = 1;
	s->done(s->arg, rc, NULL, &err);
}

static const struct said *last_said(void)
{
	assert_true(fake.n > 0);
	return &fake.said[fake.n - 1];
}

struct world {
	struct event_base *base;
	struct registry registry;
	struct host *host;
	struct kill_alerts *all;
	bool restored;
	bool off; /* no mail */
	uint64_t seq;
};

/* So much later the timer goes off. */
static void pass(int64_t us)
{
	fake.now_us += us;
	fake.turn(-1, EV_TIMEOUT, fake.turn_arg);
}

static void on_restored(void *arg)
{
	((struct world *)arg)->restored = true;
}

static void start(struct world *w, size_t rows)
{
	fake.n = fake.answered = 0;
	w->restored = false;
	assert_int_equal(kill_alerts_new(w->base, &w->registry, (struct db *)&fake,
					 w->off ? NULL : (struct mailer *)&fake, &w->all),
			 0);
	assert_int_equal(kill_alerts_restore(w->all, on_restored, w), 0);
	assert_false(w->restored);
	fake.n_rows = rows;
	fake.said[fake.answered].done(fake.said[fake.answered].arg, 0, NULL, NULL);
	fake.answered++;
	assert_true(w->restored);
}

/* The database lets go of what it was asked before all is freed. */
static void stop(struct world *w)
{
	fake.away = true;
	while (fake.answered < fake.n)
		answer(-EPIPE, 0);
	kill_alerts_free(&w->all);
	fake.away = false;
}

static int set_up(void **state)
{
	static const uint8_t uuid[16] = {1};
	struct world *w = calloc(1, sizeof(*w));

	memset(&fake, 0, sizeof(fake));
	fake.now_us = 1795400000 * SEC;
	w->base = event_base_new();
	registry_init(&w->registry);
	w->host = registry_host(&w->registry, HOST_ID, uuid, "web-1");
	start(w, 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	stop(w);
	registry_fini(&w->registry);
	event_base_free(w->base);
	free(w);
	return 0;
}

static struct wire_party party(uint32_t pid, const char *comm, const char *service, int64_t rss)
{
	struct wire_party p = {.pid = pid,
			       .start_ticks = 9,
			       .uid = -1,
			       .comm = comm,
			       .service = service,
			       .container = ""};

	for (int i = 0; i < KILL_FIGURE_COUNT; i++)
		p.v[i] = KILL_ABSENT;
	p.v[KILL_FIGURE_RSS] = rss;
	return p;
}

static void tell(struct world *w, const struct wire_kill *k)
{
	kill_alerts_told(w->all, w->host, k, (int64_t)(1000 + k->seq), k->t_wall_us);
}

/* A worker of this service was killed, one of /shop had grown. */
static void kill_of(struct world *w, const char *service)
{
	static const char *advice[] = {"Raise the limit."};
	struct wire_party grower = party(12, "gunicorn", "shop", 300 * MIB);
	struct wire_kill k = {
		.t_wall_us = fake.now_us,
		.seq = ++w->seq,
		.cause = KILL_CAUSE_KERNEL_MEMCG,
		.confidence = KILL_CONFIDENCE_CERTAIN,
		.victim = party(11, "python3", service, 100 * MIB),
		.trigger = party(0, "", "", KILL_ABSENT),
		.victim_cgroup = "/shop/a",
		.limit_cgroup = "/shop",
		.limit_owner = "shop-1",
		.growers = &grower,
		.n_growers = 1,
		.verdict = "The kernel killed python3.",
		.advice = advice,
		.n_advice = 1,
	};

	for (int i = 0; i < KILL_TOTAL_COUNT; i++)
		k.v[i] = KILL_ABSENT;
	grower.v[KILL_FIGURE_GROWN_10M] = 200 * MIB;
	k.v[KILL_TOTAL_LIMIT] = k.v[KILL_TOTAL_USAGE] = 512 * MIB;
	tell(w, &k);
}

static void kill_a_worker(struct world *w)
{
	kill_of(w, "batch");
}

static struct wire_kill bare_kill(struct world *w)
{
	struct wire_kill k = {.t_wall_us = fake.now_us,
			      .seq = ++w->seq,
			      .cause = KILL_CAUSE_KERNEL_GLOBAL,
			      .victim = party(0, "", "", KILL_ABSENT),
			      .trigger = party(0, "", "", KILL_ABSENT),
			      .victim_cgroup = "",
			      .limit_cgroup = "",
			      .limit_owner = "",
			      .verdict = ""};

	for (int i = 0; i < KILL_TOTAL_COUNT; i++)
		k.v[i] = KILL_ABSENT;
	return k;
}

#define assert_in(text, s)                                            \
	do {                                                          \
		if (!strstr((text), (s)))                             \
			fail_msg("'%s' is not in:\n%s", (s), (text)); \
	} while (0)

/* ---- one burst ---- */

static void a_kill_is_a_row_at_once_and_a_mail_a_second_later(void **state)
{
	struct world *w = *state;

	kill_a_worker(w);
	assert_int_equal(last_said()->verb, 'o');
	assert_string_equal(last_said()->key, KEY);
	assert_string_equal(last_said()->title,
			    "web-1 shop: OOM kill of python3 (pid 11) of batch, 100 MiB");
	assert_in(last_said()->doc, "\"untold\":1");
	answer(0, 42);
	assert_int_equal(fake.mails, 0);
	assert_true(fake.wait_us <= SEC);
	assert_int_equal(kill_alerts_firing(w->all), 1);
	pass(SEC);
	assert_int_equal(fake.mails, 1);
	assert_int_equal(fake.mail.incident, 42);
	assert_int_equal(fake.mail.sequence, 1);
	assert_string_equal(fake.subject, "[memherd] web-1 shop: OOM kill (INC-42)");
	assert_int_equal(last_said()->verb, 'u');
	assert_in(last_said()->doc, "\"mails\":1");
	assert_in(last_said()->doc, "\"untold\":0");
}

static void the_mail_says_who_and_why(void **state)
{
	struct world *w = *state;

	kill_a_worker(w);
	answer(0, 42);
	pass(SEC);
	assert_in(fake.text, "\n\nThe kernel killed python3.\n\n");
	assert_in(fake.text, "What               gunicorn (pid 12), service shop, on web-1\n");
	assert_in(fake.text, "victim: python3 (pid 11) of batch     100 MiB");
	assert_in(fake.text, "grew most: gunicorn (pid 12) of shop");
	assert_in(fake.text, "+200 MiB");
	assert_in(fake.text, "  shop-1, cgroup /shop; in use 512 MiB of 512 MiB\n");
	assert_in(fake.text, "What would have prevented it\n  Raise the limit.\n");
	assert_in(fake.text, "2026-11-23 02:13:20Z  python3 (pid 11) of batch, 100 MiB: killed");
	assert_in(fake.text, "http://x/#oom=");
	assert_in(fake.text, "oom_mail = no in collector.conf ends it");
	assert_null(strstr(fake.text, "trigger"));
}

static void a_burst_is_one_mail(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 40; i++)
		kill_a_worker(w);
	assert_int_equal(fake.n - fake.answered, 1);
	answer(0, 42);
	pass(SEC);
	assert_int_equal(fake.mails, 1);
	assert_in(fake.text, "Kills\n  40 kills\n  2026-");
	assert_in(fake.text, "and 24 more\n");
	answer(0, 42);
	assert_int_equal(last_said()->row.last_value, 40);
	/* details of what is mailed are in the dossiers: the row keeps those of one */
	assert_non_null(strstr(last_said()->doc, "\"growers\""));
	assert_null(strstr(strstr(last_said()->doc, "\"growers\"") + 1, "\"growers\""));
	assert_int_equal(fake.mails, 1);
}

static void more_of_them_are_a_digest(void **state)
{
	struct world *w = *state;

	kill_a_worker(w);
	answer(0, 42);
	pass(SEC);
	answer(0, 42);
	pass(5 * MIN_US);
	kill_a_worker(w);
	answer(0, 42);
	pass(4 * MIN_US);
	kill_a_worker(w);
	answer(0, 42);
	assert_int_equal(fake.mails, 1);
	assert_int_equal(fake.wait_us, MIN_US);
	pass(MIN_US);
	assert_int_equal(fake.mails, 2);
	assert_int_equal(fake.mail.state, MAIL_AGAIN);
	assert_int_equal(fake.mail.sequence, 2);
	assert_int_equal(fake.mail.incident, 42);
	assert_in(fake.text, "3 kills, 2 of them since the mail before");
	assert_string_equal(fake.subject, "[memherd] web-1 shop: OOM kill (INC-42)");
}

static void another_service_does_not_wait_for_the_digest(void **state)
{
	struct world *w = *state;

	kill_a_worker(w);
	answer(0, 42);
	pass(SEC);
	answer(0, 42);
	pass(MIN_US);
	kill_of(w, "mailman");
	answer(0, 42);
	pass(SEC);
	assert_int_equal(fake.mails, 2);
	assert_int_equal(fake.mail.state, MAIL_AGAIN);
	assert_in(fake.text, "2 kills, 1 of them since the mail before");
	assert_in(fake.text, "of mailman");
	answer(0, 42);
	/* each is told once like this, also after a restart */
	for (int i = 0; i < 2; i++) {
		kill_of(w, i ? "mailman" : "batch");
		answer(0, 42);
	}
	pass(SEC);
	assert_int_equal(fake.mails, 2);
	assert_in(last_said()->doc, "\"services\":[\"batch\",\"mailman\"]");
	pass(10 * MIN_US);
	assert_int_equal(fake.mails, 3);
}

static void where_everything_dies_it_is_a_digest(void **state)
{
	struct world *w = *state;
	char service[32];

	for (int i = 0; i < 40; i++) {
		snprintf(service, sizeof(service), "s%d", i);
		fake.n = fake.answered = 0;
		kill_of(w, service);
		answer(0, 42);
		pass(SEC);
		while (fake.answered < fake.n)
			answer(0, 42);
	}
	assert_int_equal(fake.mails, 16);
}

/* ---- its end ---- */

static void ten_quiet_minutes_end_it_without_a_mail(void **state)
{
	struct world *w = *state;

	kill_a_worker(w);
	answer(0, 42);
	pass(SEC);
	answer(0, 42);
	assert_int_equal(fake.wait_us, 10 * MIN_US - SEC);
	pass(10 * MIN_US - 2 * SEC);
	assert_int_equal(fake.n, fake.answered);
	pass(SEC);
	assert_int_equal(last_said()->verb, 'r');
	assert_int_equal(last_said()->row.alert_id, 42);
	assert_int_equal(kill_alerts_firing(w->all), 0);
	answer(0, 42);
	kill_a_worker(w);
	assert_int_equal(last_said()->verb, 'o');
	assert_int_equal(fake.mails, 1);
}

static void a_kill_while_the_row_is_closed_is_a_new_alert(void **state)
{
	struct world *w = *state;

	kill_a_worker(w);
	answer(0, 42);
	pass(SEC);
	answer(0, 42);
	pass(10 * MIN_US);
	assert_int_equal(last_said()->verb, 'r');
	kill_a_worker(w);
	pass(SEC);
	assert_int_equal(fake.mails, 1);
	answer(0, 42);
	assert_int_equal(last_said()->verb, 'o');
	assert_int_equal(last_said()->row.last_value, 1);
	answer(0, 43);
	assert_int_equal(fake.mails, 2);
	assert_int_equal(fake.mail.incident, 43);
	assert_int_equal(fake.mail.sequence, 1);
	assert_int_equal(fake.mail.state, MAIL_FIRING);
}

/* ---- what is no news ---- */

static void only_killers_for_memory_count(void **state)
{
	struct world *w = *state;
	struct wire_kill k = bare_kill(w);

	k.cause = KILL_CAUSE_KILLED;
	tell(w, &k);
	assert_int_equal(kill_alerts_firing(w->all), 0);
	assert_int_equal(fake.n, fake.answered);
}

static void an_old_log_is_no_news_but_an_old_spool_is(void **state)
{
	struct world *w = *state;
	struct wire_kill k = bare_kill(w);

	k.replayed = true;
	k.t_wall_us = fake.now_us - 61 * MIN_US;
	tell(w, &k);
	assert_int_equal(kill_alerts_firing(w->all), 0);
	k.t_wall_us = fake.now_us - 59 * MIN_US;
	tell(w, &k);
	assert_int_equal(kill_alerts_firing(w->all), 1);
	stop(w);
	start(w, 0);
	k.replayed = false;
	k.t_wall_us = fake.now_us - 600 * MIN_US;
	tell(w, &k);
	assert_int_equal(kill_alerts_firing(w->all), 1);
}

static void without_mail_there_is_an_alert_all_the_same(void **state)
{
	struct world *w = *state;

	stop(w);
	w->off = true;
	start(w, 0);
	kill_a_worker(w);
	answer(0, 42);
	pass(SEC);
	answer(0, 42);
	assert_int_equal(fake.mails, 0);
	pass(10 * MIN_US);
	assert_int_equal(last_said()->verb, 'r');
}

static void a_mailer_that_is_off_is_not_asked_again(void **state)
{
	struct world *w = *state;

	fake.mail_rc = -ENOTSUP;
	kill_a_worker(w);
	answer(0, 42);
	pass(SEC);
	pass(SEC);
	assert_int_equal(fake.mails, 1);
}

/* ---- the database ---- */

static void without_a_database_the_mail_goes_and_the_row_comes_later(void **state)
{
	struct world *w = *state;

	fake.away = true;
	kill_a_worker(w);
	pass(SEC);
	assert_int_equal(fake.mails, 1);
	fake.away = false;
	assert_true(fake.wait_us <= SEC);
	pass(SEC);
	assert_int_equal(last_said()->verb, 'o');
	answer(0, 42);
	assert_int_equal(fake.mails, 1);
	/* one that came and went meanwhile has a row too */
	fake.away = true;
	pass(10 * MIN_US);
	fake.away = false;
	pass(SEC);
	assert_int_equal(last_said()->verb, 'r');
}

static void a_row_that_was_refused_is_tried_again(void **state)
{
	struct world *w = *state;

	kill_a_worker(w);
	answer(-EIO, 0);
	pass(SEC);
	assert_int_equal(fake.n, fake.answered);
	assert_int_equal(fake.mails, 1);
	pass(10 * SEC);
	assert_int_equal(last_said()->verb, 'o');
	answer(0, 42);
}

static void a_close_that_failed_is_tried_again(void **state)
{
	struct world *w = *state;

	kill_a_worker(w);
	answer(0, 42);
	pass(SEC);
	answer(0, 42);
	pass(10 * MIN_US);
	answer(-EIO, 0);
	pass(11 * SEC);
	assert_int_equal(last_said()->verb, 'r');
	answer(0, 42);
}

/* ---- a restart ---- */

/* What the last statement left in the row; then we end. */
static void set_row(struct world *w)
{
	static struct said row;

	row = *last_said();
	stop(w);
	fake.rows[0] = row.row;
	fake.rows[0].alert_id = 42;
	fake.rows[0].key = row.key;
	fake.rows[0].host = "web-1";
	fake.rows[0].service = "shop";
	fake.rows[0].state = "firing";
	fake.rows[0].title = row.title;
	fake.rows[0].doc = row.doc;
	fake.rows[0].unmailed = fake.unmailed;
}

static void restart(struct world *w)
{
	set_row(w);
	fake.rows[1] = (struct alert_row){.key = "big|7|host|0", .doc = "{}"};
	start(w, 2);
	assert_int_equal(kill_alerts_firing(w->all), 1);
}

static void a_restart_mails_nothing_twice(void **state)
{
	struct world *w = *state;

	kill_a_worker(w);
	answer(0, 42);
	pass(SEC);
	restart(w);
	pass(2 * SEC);
	assert_int_equal(fake.mails, 1);
	assert_int_equal(fake.n, fake.answered);
	/* the agent, which had no answer, tells it again */
	w->seq--;
	kill_a_worker(w);
	assert_int_equal(fake.n, fake.answered);
	kill_a_worker(w);
	answer(0, 42);
	pass(10 * MIN_US);
	assert_int_equal(fake.mails, 2);
	assert_int_equal(fake.mail.sequence, 2);
	assert_string_equal(fake.subject, "[memherd] web-1 shop: OOM kill (INC-42)");
	assert_in(fake.text, "2 kills, 1 of them since the mail before");
}

static void what_was_not_mailed_before_a_restart_is_after_it(void **state)
{
	struct world *w = *state;

	kill_a_worker(w);
	restart(w);
	pass(SEC);
	assert_int_equal(fake.mails, 1);
	assert_int_equal(fake.mail.incident, 42);
	assert_in(fake.text, "The kernel killed python3.");
}

/* The row counts a mail that was never queued: who wrote it was killed in between. */
static void a_mail_that_was_only_counted_is_sent(void **state)
{
	struct world *w = *state;

	kill_a_worker(w);
	answer(0, 42);
	pass(SEC);
	assert_int_equal(fake.mails, 1);
	assert_in(last_said()->doc, "\"mails\":1");
	fake.unmailed = true;
	restart(w);
	pass(SEC);
	assert_int_equal(fake.mails, 2);
	assert_int_equal(fake.mail.incident, 42);
	assert_int_equal(fake.mail.sequence, 1);
	assert_in(fake.text, "python3");
	pass(10 * SEC);
	assert_int_equal(fake.mails, 2);
}

/* The same when another led and died, not we. */
static void whoever_leads_next_sends_what_was_only_counted(void **state)
{
	struct world *w = *state;

	for (int unmailed = 0; unmailed < 2; unmailed++) {
		fake.mails = 0;
		kill_a_worker(w);
		answer(0, 42);
		pass(SEC);
		assert_int_equal(fake.mails, 1);
		set_row(w);
		fake.rows[0].unmailed = unmailed;
		start(w, 0);
		kill_alerts_lead(w->all, false);
		kill_alerts_lead(w->all, true);
		assert_int_equal(last_said()->verb, 'l');
		fake.n_rows = 1;
		last_said()->done(last_said()->arg, 0, NULL, NULL);
		fake.answered = fake.n;
		pass(2 * SEC);
		assert_int_equal(fake.mails, 1 + unmailed);
		stop(w);
		start(w, 0);
	}
	assert_int_equal(fake.mail.sequence, 1);
}

static void a_row_that_makes_no_sense_does_no_harm(void **state)
{
	static const char *const docs[] = {
		"",
		"7",
		"[]",
		"{}",
		"{\"kills\":7,\"kill_ids\":{},\"state\":[]}",
		"{\"kills\":[7,null],\"kill_ids\":[null,7],\"state\":{\"untold\":9e18,"
		"\"fresh\":1e18,\"mails\":-1,\"last_us\":9000000000000000000,\"gather_us\":\"x\"}}",
		"{\"kills\":[{\"victim\":7,\"growers\":{},\"advice\":[7],\"verdict\":7}],"
		"\"state\":{\"untold\":1,\"fresh\":1}}",
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(docs); i++) {
		stop(w);
		fake.rows[0] = (struct alert_row){.alert_id = 1,
						  .key = KEY,
						  .host_id = HOST_ID,
						  .host = "",
						  .title = "",
						  .doc = docs[i]};
		start(w, 1);
		pass(SEC);
		kill_a_worker(w);
		pass(SEC);
		pass(20 * MIN_US);
	}
	stop(w);
	fake.rows[0].key = "oom_kill|host|7x";
	start(w, 1);
	assert_int_equal(kill_alerts_firing(w->all), 0);
}

static void keys_of_rules_are_not_ours(void **state unused_arg)
{
	assert_true(kill_alert_is_key(KEY));
	assert_false(kill_alert_is_key("oom_kill|7|host|7"));
	assert_false(kill_alert_is_key("big|7|process|1"));
}

/* ---- hostile, bare, without memory ---- */

static void a_hostile_kill_stays_text(void **state)
{
	struct world *w = *state;
	struct wire_kill k = bare_kill(w);
	static const char *lines[] = {HOSTILE, ""};
	struct wire_party p = party(1, HOSTILE, HOSTILE, INT64_MAX / 1024);

	for (int i = 0; i < KILL_FIGURE_COUNT; i++)
		p.v[i] = INT64_MIN / 1024 + 1;
	for (int i = 0; i < KILL_TOTAL_COUNT; i++)
		k.v[i] = INT64_MAX / 1024;
	k.victim = k.trigger = p;
	k.growers = &p;
	k.n_growers = 1;
	k.victim_cgroup = k.limit_cgroup = k.limit_owner = k.verdict = HOSTILE;
	k.advice = lines;
	k.n_advice = 2;
	tell(w, &k);
	answer(0, 42);
	pass(SEC);
	assert_int_equal(fake.mails, 1);
	assert_null(strstr(fake.html, "<b>"));
	assert_null(strchr(fake.text, '\r'));
	assert_null(strstr(fake.text, "\nBcc"));
	assert_null(strchr(fake.subject, '\n'));
	assert_in(fake.html, "\\x0a&lt;b&gt;");
}

static void a_kill_of_which_nothing_is_known_is_told_too(void **state)
{
	struct world *w = *state;
	struct wire_kill k = bare_kill(w);

	tell(w, &k);
	assert_string_equal(last_said()->title, "web-1 ?: OOM kill of a process");
	answer(0, 42);
	pass(SEC);
	assert_string_equal(fake.subject, "[memherd] web-1: OOM kill (INC-42)");
	assert_in(fake.text, "none: the host itself had no memory left");
}

static void without_memory_nothing_breaks(void **state)
{
	struct world *w = *state;

	for (unsigned n = 1;; n++) {
		stop(w);
		start(w, 0);
		alloc_fail_at(n);
		kill_a_worker(w);
		pass(SEC);
		alloc_fail_off();
		if (!alloc_failed())
			return;
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_kill_is_a_row_at_once_and_a_mail_a_second_later),
		TEST(the_mail_says_who_and_why),
		TEST(a_burst_is_one_mail),
		TEST(more_of_them_are_a_digest),
		TEST(another_service_does_not_wait_for_the_digest),
		TEST(where_everything_dies_it_is_a_digest),
		TEST(ten_quiet_minutes_end_it_without_a_mail),
		TEST(a_kill_while_the_row_is_closed_is_a_new_alert),
		TEST(only_killers_for_memory_count),
		TEST(an_old_log_is_no_news_but_an_old_spool_is),
		TEST(without_mail_there_is_an_alert_all_the_same),
		TEST(a_mailer_that_is_off_is_not_asked_again),
		TEST(without_a_database_the_mail_goes_and_the_row_comes_later),
		TEST(a_row_that_was_refused_is_tried_again),
		TEST(a_close_that_failed_is_tried_again),
		TEST(a_restart_mails_nothing_twice),
		TEST(what_was_not_mailed_before_a_restart_is_after_it),
		TEST(a_mail_that_was_only_counted_is_sent),
		TEST(whoever_leads_next_sends_what_was_only_counted),
		TEST(a_row_that_makes_no_sense_does_no_harm),
		TEST(keys_of_rules_are_not_ours),
		TEST(a_hostile_kill_stays_text),
		TEST(a_kill_of_which_nothing_is_known_is_told_too),
		TEST(without_memory_nothing_breaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
