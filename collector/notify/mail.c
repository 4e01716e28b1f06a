/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/notify/mail.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <string.h>
#include <utlist.h>

#include "collector/notify/encode.h"
#include "collector/notify/smtp.h"
#include "collector/store/store_mail.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/sign.h"
#include "common/str.h"

#define MAILER_MAGIC 0x6d61696cu /* 'mail' */
#define ITEM_MAGIC   0x6974656du
#define MINUTE_US    (60 * USEC_PER_SEC)
#define GIVE_UP_US   (24 * 60 * MINUTE_US)
#define POLL_US      (30 * USEC_PER_SEC) /* for rows that are not held in memory */
#define TICK_US      (250 * 1000LL)      /* shortest sleep, and the wait for the database */
#define DUE_LIMIT    8                   /* rows taken at once */
#define REPLY_SIZE   256

/* X(NAME, word): of the message itself; the word is the column's. */
#define ITEM_STATE_LIST(X) \
	X(QUEUED, queued)  \
	X(SENT, sent)      \
	X(FAILED, failed)

enum item_state {
#define X(NAME, word) ITEM_##NAME,
	ITEM_STATE_LIST(X)
#undef X
};

static const char *const item_words[] = {
#define X(NAME, word) [ITEM_##NAME] = #word,
	ITEM_STATE_LIST(X)
#undef X
};

/* A message held in memory until the table says what became of it. */
struct item {
	unsigned magic;
	struct item *prev, *next; /* utlist */
	struct mailer *mailer;
	int64_t mail_id; /* 0: no row yet */
	int64_t alert_id;
	uint8_t *data;
	size_t len;
	char *sender;
	char *recipients;
	enum item_state state;
	int attempts;
	int64_t created_us;
	int64_t next_try_us;
	int64_t sent_us;
	char reply[REPLY_SIZE];
	bool sending; /* libcurl has it */
	bool storing; /* a statement about it is under way */
	bool dirty;   /* the table does not say this yet */
	bool refused; /* it has no row: another collector leads, whose mail it is */
	bool direct;  /* the table never hears of it */
};

struct mailer {
	unsigned magic;
	struct event_base *base;
	struct db *db;
	struct smtp *smtp; /* NULL: mail is off */
	struct event *timer;
	struct item *items; /* oldest first */
	unsigned held;
	bool (*leads)(void *arg);
	void *leads_arg;
	bool polling;
	bool poll_stale; /* a row changed hands since the look was asked for: it may show it as it
			    was */
	int64_t next_poll_us;
	char *from;
	char *recipients;
	char *base_url;
	int64_t retry_us;
	int64_t give_up_us;
	struct mail_counts counts;
};

static void turn(struct mailer *m);

int64_t mail_backoff_us(int64_t first_us, int attempts, unsigned roll)
{
	static const int times[] = {1, 5, 15, 60};
	size_t step = (size_t)MAX_OF(attempts - 1, 0);
	int64_t wait = first_us * times[MIN_OF(step, ARRAY_SIZE(times) - 1)];

	/* 80.0 % to 119.9 % */
	return wait / 10 * 8 + wait / 2500 * (int64_t)MIN_OF(roll, 999u);
}

/* ---- items ---- */

static void item_free(struct item *it)
{
	free(it->data);
	free(it->sender);
	free(it->recipients);
	it->magic = 0;
	free(it);
}

static void item_drop(struct item *it)
{
	DL_DELETE(it->mailer->items, it);
	it->mailer->held--;
	it->mailer->poll_stale = true;
	item_free(it);
}

static struct item *item_add(struct mailer *m, const struct mail_row *row)
{
	struct item *it = calloc(1, sizeof(*it));

	if (!it)
		return NULL;
	it->magic = ITEM_MAGIC;
	it->mailer = m;
	it->mail_id = row->mail_id;
	it->alert_id = row->alert_id;
	it->attempts = row->attempts;
	it->created_us = row->created_us;
	it->next_try_us = row->next_try_us;
	it->len = row->len;
	it->data = malloc(row->len ? row->len : 1);
	it->sender = strdup(row->sender);
	it->recipients = strdup(row->recipients);
	if (!it->data || !it->sender || !it->recipients) {
		item_free(it);
		return NULL;
	}
	if (row->len)
		memcpy(it->data, row->message, row->len);
	DL_APPEND(m->items, it);
	m->held++;
	return it;
}

static struct item *item_find(struct mailer *m, int64_t mail_id)
{
	struct item *it;

	DL_FOREACH (m->items, it) {
		if (it->mail_id == mail_id)
			return it;
	}
	return NULL;
}

/* ---- to and from the table ---- */

static bool is_bad_data(const char *sqlstate)
{
	return str_starts(sqlstate, "22") || str_starts(sqlstate, "23");
}

static void on_stored(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct item *it = arg;
	struct mailer *m;

	MAGIC_CHECK(it, ITEM_MAGIC);
	m = it->mailer;
	it->storing = false;
	if (rc < 0) {
		/* bad data stays bad: it is sent all the same, the table just cannot tell */
		it->dirty |= !r || !is_bad_data(db_sqlstate(r));
		log_warn("mail=%" PRId64 " alert=%" PRId64 " state=%s error=\"not noted: %s\"",
			 it->mail_id, it->alert_id, item_words[it->state], err ? err->msg : "");
	} else if (!it->mail_id) {
		it->mail_id = store_mail_id(r);
		it->refused = !it->mail_id;
	}
	turn(m);
}

static void store(struct item *it)
{
	const struct mail_row row = {
		.mail_id = it->mail_id,
		.alert_id = it->alert_id,
		.sender = it->sender,
		.recipients = it->recipients,
		.state = item_words[it->state],
		.message = it->data,
		.len = it->len,
		.attempts = it->attempts,
		.created_us = it->created_us,
		.next_try_us = it->next_try_us,
		.sent_us = it->sent_us,
		.last_reply = *it->reply ? it->reply : NULL,
	};
	struct db *db = it->mailer->db;
	int rc = it->mail_id ? store_mail_update(db, &row, on_stored, it)
			     : store_mail_add(db, &row, on_stored, it);

	if (rc < 0)
		return;
	it->storing = true;
	it->dirty = false;
	it->mailer->poll_stale = true;
}

static void take_due(struct mailer *m, const struct db_result *r)
{
	for (size_t i = 0; i < db_rows(r) && m->held < MAIL_HELD_MAX; i++) {
		struct mail_row row;

		store_mail_row(r, i, &row);
		if (!item_find(m, row.mail_id))
			(void)item_add(m, &row);
	}
	/* more may wait than one look shows */
	if (db_rows(r) == DUE_LIMIT)
		m->next_poll_us = 0;
}

static void on_due(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct mailer *m = arg;

	MAGIC_CHECK(m, MAILER_MAGIC);
	m->polling = false;
	if (rc < 0)
		log_warn("mail error=\"cannot read the queue: %s\"", err ? err->msg : "");
	else if (m->poll_stale)
		m->next_poll_us = 0;
	else
		take_due(m, r);
	turn(m);
}

/* libcurl or the table has a message at hand. */
static bool is_busy(const struct mailer *m)
{
	const struct item *it;

	DL_FOREACH (m->items, it) {
		if (it->storing || it->sending)
			return true;
	}
	return false;
}

/* Only when nothing held is due: the look would show the same rows again. */
static void poll_table(struct mailer *m, int64_t now_us)
{
	if (m->polling || now_us < m->next_poll_us || is_busy(m) ||
	    m->held > MAIL_HELD_MAX - DUE_LIMIT || !db_ready(m->db))
		return;
	if (store_mail_due(m->db, now_us, DUE_LIMIT, on_due, m) < 0)
		return;
	m->polling = true;
	m->poll_stale = false;
	m->next_poll_us = now_us + POLL_US;
}

/* ---- sending ---- */

static void settle(struct item *it, const struct smtp_result *r, int64_t now_us)
{
	struct mailer *m = it->mailer;
	bool late = now_us - it->created_us >= m->give_up_us;

	it->attempts++;
	it->dirty = !it->direct;
	memcpy(it->reply, r->reply, sizeof(it->reply));
	if (r->verdict == SMTP_SENT) {
		it->state = ITEM_SENT;
		it->sent_us = now_us;
		m->counts.sent++;
	} else if (r->verdict == SMTP_REFUSED || late) {
		it->state = ITEM_FAILED;
		m->counts.failed++;
	} else {
		it->next_try_us = now_us + mail_backoff_us(m->retry_us, it->attempts,
							   (unsigned)random_below(1000));
		m->counts.retried++;
	}
}

static void log_attempt(const struct item *it, const struct smtp_result *r)
{
	log_line(r->verdict == SMTP_SENT ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
		 "mail=%" PRId64 " alert=%" PRId64 " attempt=%d result=%s state=%s code=%ld "
		 "reply=\"%s\"",
		 it->mail_id, it->alert_id, it->attempts, smtp_verdict_word(r->verdict),
		 item_words[it->state], r->code, r->reply);
}

static void on_sent(void *arg, const struct smtp_result *r)
{
	struct item *it = arg;

	MAGIC_CHECK(it, ITEM_MAGIC);
	it->sending = false;
	settle(it, r, clock_wall_us());
	log_attempt(it, r);
	turn(it->mailer);
}

static void send_item(struct item *it)
{
	struct smtp_result trouble = {.verdict = SMTP_RETRY};
	struct error err = {""};
	int rc = smtp_send(it->mailer->smtp, it->sender, it->recipients, it->data, it->len, on_sent,
			   it, &err);

	if (rc == 0) {
		it->sending = true;
		return;
	}
	if (rc == -EINVAL)
		trouble.verdict = SMTP_REFUSED;
	str_safe(trouble.reply, sizeof(trouble.reply), err.msg, strlen(err.msg));
	settle(it, &trouble, clock_wall_us());
	log_attempt(it, &trouble);
}

/* ---- the turn: what can be written is written, what is due is sent, one at a time ---- */

static bool is_over(const struct item *it)
{
	if (it->refused)
		return !it->sending && !it->storing;
	return it->state != ITEM_QUEUED && !it->dirty && !it->storing && !it->sending;
}

/* A row that waits for its time needs no memory. */
static bool can_wait_in_table(const struct item *it, int64_t now_us)
{
	return it->mail_id && !it->dirty && !it->storing && !it->sending &&
	       it->next_try_us > now_us + 2 * POLL_US;
}

static void write_down(struct mailer *m, int64_t now_us)
{
	struct item *it, *next;

	DL_FOREACH_SAFE (m->items, it, next) {
		if (it->dirty && !it->storing && db_ready(m->db))
			store(it);
		if (is_over(it) || can_wait_in_table(it, now_us))
			item_drop(it);
	}
}

static bool leads(const struct mailer *m)
{
	return !m->leads || m->leads(m->leads_arg);
}

/* What a collector has to say of itself it says whoever leads. */
static struct item *next_due(struct mailer *m)
{
	struct item *it, *best = NULL;
	bool all = leads(m);

	DL_FOREACH (m->items, it) {
		if (it->sending)
			return NULL;
		/* the first row is written before the first try, so that a crash keeps the mail */
		if (it->state != ITEM_QUEUED || it->storing || it->refused || (!all && !it->direct))
			continue;
		if (!best || it->next_try_us < best->next_try_us)
			best = it;
	}
	return best;
}

static void sleep_until(struct mailer *m, int64_t now_us)
{
	struct item *it = next_due(m);
	int64_t wait = POLL_US;
	struct timeval tv;

	if (it)
		wait = MIN_OF(wait, it->next_try_us - now_us);
	DL_FOREACH (m->items, it) {
		if (it->dirty)
			wait = MIN_OF(wait, 4 * TICK_US);
	}
	if (!m->polling && m->next_poll_us <= now_us)
		wait = MIN_OF(wait, 4 * TICK_US);
	wait = MAX_OF(wait, TICK_US);
	tv = (struct timeval){.tv_sec = wait / USEC_PER_SEC, .tv_usec = wait % USEC_PER_SEC};
	evtimer_add(m->timer, &tv);
}

static void turn(struct mailer *m)
{
	int64_t now_us = clock_wall_us();
	struct item *it;

	write_down(m, now_us);
	it = next_due(m);
	if (it && it->next_try_us <= now_us)
		send_item(it);
	else if (leads(m))
		poll_table(m, now_us);
	sleep_until(m, now_us);
}

static void on_tick(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct mailer *m = arg;

	MAGIC_CHECK(m, MAILER_MAGIC);
	turn(m);
}

/* ---- the door ---- */

static int check_addresses(const struct mail_config *c, struct error *err)
{
	auto_buf struct buf scratch = BUF_INIT(MESSAGE_MAX);
	const struct incident_mail nothing = {.headline = "configuration check"};

	return message_build(&scratch, &nothing, c->from ? c->from : "",
			     c->recipients ? c->recipients : "", err);
}

static int open_relay(struct mailer *m, const struct mail_config *c, struct error *err)
{
	const struct smtp_config smtp = {
		.url = c->url,
		.tls = c->tls ? c->tls : "starttls",
		.user = c->user,
		.password_file = c->password_file,
		.ca_file = c->ca_file,
	};
	int rc = check_addresses(c, err);

	return rc < 0 ? rc : smtp_new(m->base, &smtp, &m->smtp, err);
}

static int copy_config(struct mailer *m, const struct mail_config *c)
{
	m->leads = c->leads;
	m->leads_arg = c->arg;
	m->retry_us = c->retry_us > 0 ? c->retry_us : MINUTE_US;
	m->give_up_us = c->give_up_us > 0 ? c->give_up_us : GIVE_UP_US;
	m->from = strdup(c->from ? c->from : "");
	m->recipients = strdup(c->recipients ? c->recipients : "");
	m->base_url = strdup(c->base_url ? c->base_url : "");
	m->timer = evtimer_new(m->base, on_tick, m);
	return m->from && m->recipients && m->base_url && m->timer ? 0 : -ENOMEM;
}

int mailer_new(struct event_base *base, struct db *db, const struct mail_config *c,
	       struct mailer **ret, struct error *err)
{
	struct mailer *m = calloc(1, sizeof(*m));
	int rc = 0;

	if (!m)
		return error_sys(err, -ENOMEM, "cannot set up mail");
	m->magic = MAILER_MAGIC;
	m->base = base;
	m->db = db;
	if (copy_config(m, c) < 0)
		rc = error_sys(err, -ENOMEM, "cannot set up mail");
	else if (c->url && *c->url)
		rc = open_relay(m, c, err);
	if (rc < 0) {
		mailer_free(&m);
		return rc;
	}
	if (m->smtp)
		turn(m);
	*ret = m;
	return 0;
}

void mailer_free(struct mailer **slot)
{
	struct mailer *m = take_ptr(*slot);
	struct item *it, *next;

	if (!m)
		return;
	MAGIC_CHECK(m, MAILER_MAGIC);
	smtp_free(&m->smtp);
	DL_FOREACH_SAFE (m->items, it, next)
		item_drop(it);
	if (m->timer)
		event_free(m->timer);
	free(m->from);
	free(m->recipients);
	free(m->base_url);
	m->magic = 0;
	free(m);
}

/* A message that has just been made: not in the table yet, due at once. */
static struct item *item_new(struct mailer *m, int64_t alert_id, const void *data, size_t len)
{
	int64_t now_us = clock_wall_us();
	const struct mail_row row = {
		.alert_id = alert_id,
		.sender = m->from,
		.recipients = m->recipients,
		.message = data,
		.len = len,
		.created_us = now_us,
		.next_try_us = now_us,
	};
	struct item *it = item_add(m, &row);

	if (it)
		it->dirty = true;
	return it;
}

int mail_enqueue(struct mailer *m, int64_t alert_id, const void *data, size_t len,
		 struct error *err)
{
	MAGIC_CHECK(m, MAILER_MAGIC);
	if (!m->smtp)
		return error_set(err, -ENOTSUP, "mail is off: no mail url is set");
	if (m->held >= MAIL_HELD_MAX) {
		m->counts.dropped++;
		return error_set(err, -ENOBUFS, "%u mails wait already", m->held);
	}
	if (!item_new(m, alert_id, data, len))
		return error_sys(err, -ENOMEM, "cannot queue a mail");
	turn(m);
	return 0;
}

int mail_notice(struct mailer *m, const struct mail_notice *n, struct error *err)
{
	auto_buf struct buf message = BUF_INIT(NOTICE_MAX);
	struct item *it;
	int rc;

	MAGIC_CHECK(m, MAILER_MAGIC);
	if (!m->smtp)
		return error_set(err, -ENOTSUP, "mail is off: no mail url is set");
	if (m->held >= MAIL_HELD_MAX + MAIL_NOTICE_MAX)
		return error_set(err, -ENOBUFS, "%u mails wait already", m->held);
	rc = notice_build(&message, n, m->from, m->recipients, err);
	if (rc < 0)
		return rc;
	it = item_new(m, 0, message.data, message.len);
	if (!it)
		return error_sys(err, -ENOMEM, "cannot queue a mail");
	it->dirty = false;
	it->direct = true;
	it->next_try_us = 0;
	turn(m);
	return 0;
}

int mail_incident(struct mailer *m, const struct incident_mail *incident, struct error *err)
{
	auto_buf struct buf message = BUF_INIT(MESSAGE_MAX);
	struct incident_mail full = *incident;
	int rc;

	MAGIC_CHECK(m, MAILER_MAGIC);
	if (!m->smtp)
		return error_set(err, -ENOTSUP, "mail is off: no mail url is set");
	if (!full.base_url)
		full.base_url = m->base_url;
	rc = message_build(&message, &full, m->from, m->recipients, err);
	if (rc < 0)
		return rc;
	return mail_enqueue(m, full.incident, message.data, message.len, err);
}

void mailer_forget(struct mailer *m)
{
	struct item *it, *next;

	MAGIC_CHECK(m, MAILER_MAGIC);
	DL_FOREACH_SAFE (m->items, it, next) {
		if (it->direct)
			continue;
		if (it->storing || it->sending)
			it->refused |= it->state == ITEM_QUEUED && !it->sending;
		else if (it->state == ITEM_QUEUED)
			item_drop(it);
	}
	m->next_poll_us = 0;
}

void mail_counts(const struct mailer *m, struct mail_counts *ret)
{
	*ret = m->counts;
	ret->held = m->held;
}
