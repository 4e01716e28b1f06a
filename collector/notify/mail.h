/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mail.h - the queue of messages: kept in table 'mail', sent one at a time, tried again after 1, 5,
 * 15, 60, 60 ... minutes with jitter, for 24 hours. At least once: 'sent' is written after the
 * relay's 250, so a crash between the two sends a message twice under one Message-ID.
 *
 * While the database is away messages are taken into memory (bounded) and sent from there; their
 * rows are written when it is back. Owned by the collector's main; all calls from the loop.
 */
#ifndef MEMHERD_COLLECTOR_NOTIFY_MAIL_H
#define MEMHERD_COLLECTOR_NOTIFY_MAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/notify/message.h"
#include "collector/notify/notice.h"
#include "common/error.h"

#define MAIL_HELD_MAX   64 /* messages in memory; the rest waits in the table */
#define MAIL_NOTICE_MAX 4  /* ... and beside them, notices */

struct db;
struct event_base;
struct mailer;

struct mail_config {
	const char *url; /* '' = mail is off: mail_enqueue returns -ENOTSUP */
	const char *tls; /* starttls, implicit, none */
	const char *from;
	const char *recipients; /* one a line */
	const char *user;
	const char *password_file;
	const char *ca_file;
	const char *base_url; /* of the dashboard, for links; '' = none */
	/* Whether what waits is ours to send, asked right before; NULL = always. */
	bool (*leads)(void *arg);
	void *arg;
	int64_t retry_us;   /* the first wait, 0 = 1 min; the later ones are 5, 15, 60 times that */
	int64_t give_up_us; /* 0 = 24 h */
};

struct mail_counts {
	uint64_t sent;
	uint64_t failed;
	uint64_t retried;
	uint64_t dropped; /* no room in memory while the database was away */
	unsigned held;    /* in memory now */
};

/* Copies the configuration and starts with what the table holds, as soon as the database is ready.
 * -EINVAL names the option that is wrong. */
int mailer_new(struct event_base *base, struct db *db, const struct mail_config *c,
	       struct mailer **ret, struct error *err) must_use;
/* What is not in the table by then is lost. The loop may not run between this and db_free. */
void mailer_free(struct mailer **m);

/* Builds and queues a message about an alert (m->base_url is filled in from the configuration when
 * it is NULL). -ENOTSUP: mail is off; -ENOBUFS: no room; both are counted and harmless. */
int mail_incident(struct mailer *m, const struct incident_mail *incident,
		  struct error *err) must_use;
/* Queues a message that is built already; data is copied. alert_id 0 = none. */
int mail_enqueue(struct mailer *m, int64_t alert_id, const void *data, size_t len,
		 struct error *err) must_use;
/* Another collector sends from now on: what is held in memory is forgotten, the table has it. */
void mailer_forget(struct mailer *m);
/* Sends a notice straight to the relay, before all that waits. It never touches the database: one
 * that cannot be sent is tried again from memory, and ends with the program. */
int mail_notice(struct mailer *m, const struct mail_notice *n, struct error *err) must_use;
void mail_counts(const struct mailer *m, struct mail_counts *ret);

/* The wait before attempt n + 1 after n >= 1 failed ones; roll in 0..999 gives +-20 % jitter. */
int64_t mail_backoff_us(int64_t first_us, int attempts, unsigned roll);

#endif
