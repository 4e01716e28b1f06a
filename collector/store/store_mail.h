/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_mail.h - verbs on table 'mail', the outbox. Each queues one statement; done gets the
 * result, whose rows store_mail_row reads. Errors are db_query's.
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_MAIL_H
#define MEMHERD_COLLECTOR_STORE_STORE_MAIL_H

#include "collector/store/db.h"

/* Pointers are into the result. */
struct mail_row {
	int64_t mail_id;
	int64_t alert_id; /* 0 = none */
	const char *sender;
	const char *recipients;
	const char *state; /* queued, sent, failed */
	const uint8_t *message;
	size_t len;
	int attempts;
	int64_t created_us;
	int64_t next_try_us;
	int64_t sent_us; /* 0 = not yet */
	const char *last_reply;
};

/* Gives one row: the mail_id. */
int store_mail_add(struct db *db, const struct mail_row *row, db_done *done, void *arg) must_use;
/* Queued ones whose time has come, with their messages. */
int store_mail_due(struct db *db, int64_t now_us, int limit, db_done *done, void *arg) must_use;
/* state, attempts, next_try, sent and last_reply of mail_id. */
int store_mail_update(struct db *db, const struct mail_row *row, db_done *done, void *arg) must_use;

int64_t store_mail_id(const struct db_result *r);
void store_mail_row(const struct db_result *r, size_t i, struct mail_row *ret);

#endif
