/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_mail.h"

static struct db_param time_or_null(int64_t us)
{
	return us ? DB_P_TIME(us) : DB_P_NULL;
}

int store_mail_add(struct db *db, const struct mail_row *row, db_done *done, void *arg)
{
	const struct db_param params[] = {
		row->alert_id ? DB_P_INT8(row->alert_id) : DB_P_NULL,
		DB_P_TIME(row->created_us),
		DB_P_TEXT(row->sender),
		DB_P_TEXT(row->recipients),
		DB_P_BYTES(row->message, row->len),
		DB_P_TEXT(row->state),
		DB_P_INT4(row->attempts),
		DB_P_TIME(row->next_try_us),
		time_or_null(row->sent_us),
		DB_P_TEXT(row->last_reply),
		db_fence(db),
	};

	return db_query(db, Q_MAIL_ADD, params, ARRAY_SIZE(params), done, arg);
}

int store_mail_due(struct db *db, int64_t now_us, int limit, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_TIME(now_us), DB_P_INT4(limit)};

	return db_query(db, Q_MAIL_DUE, params, ARRAY_SIZE(params), done, arg);
}

int store_mail_update(struct db *db, const struct mail_row *row, db_done *done, void *arg)
{
	const struct db_param params[] = {
		DB_P_INT8(row->mail_id),
		DB_P_TEXT(row->state),
		DB_P_INT4(row->attempts),
		DB_P_TIME(row->next_try_us),
		time_or_null(row->sent_us),
		DB_P_TEXT(row->last_reply),
		db_fence(db),
	};

	return db_query(db, Q_MAIL_UPDATE, params, ARRAY_SIZE(params), done, arg);
}

int64_t store_mail_id(const struct db_result *r)
{
	return db_rows(r) ? db_int(r, 0, 0) : 0;
}

void store_mail_row(const struct db_result *r, size_t i, struct mail_row *ret)
{
	*ret = (struct mail_row){
		.mail_id = db_int(r, i, 0),
		.alert_id = db_int(r, i, 1),
		.sender = db_text(r, i, 2),
		.recipients = db_text(r, i, 3),
		.state = db_text(r, i, 4),
		.attempts = (int)db_int(r, i, 6),
		.created_us = db_time(r, i, 7),
		.next_try_us = db_time(r, i, 8),
		.sent_us = db_is_null(r, i, 9) ? 0 : db_time(r, i, 9),
		.last_reply = db_text(r, i, 10),
	};
	ret->message = db_bytes(r, i, 5, &ret->len);
}
