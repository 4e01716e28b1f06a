/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_alert.h"

#include <math.h>

static struct db_param value_or_null(double v)
{
	return isfinite(v) ? DB_P_FLOAT8(v) : DB_P_NULL;
}

int store_alert_open(struct db *db, const struct alert_row *row, db_done *done, void *arg)
{
	const struct db_param params[] = {
		DB_P_TEXT(row->key),
		DB_P_TEXT(row->rule),
		row->host_id ? DB_P_INT4(row->host_id) : DB_P_NULL,
		DB_P_TEXT(row->subject),
		row->proc_id ? DB_P_INT8(row->proc_id) : DB_P_NULL,
		DB_P_TEXT(row->service),
		DB_P_TEXT(row->level),
		DB_P_TIME(row->opened_us),
		value_or_null(row->first_value),
		value_or_null(row->peak_value),
		value_or_null(row->last_value),
		DB_P_TEXT(row->title),
		DB_P_JSON(row->doc),
		db_fence(db),
	};

	return db_query(db, Q_ALERT_OPEN, params, ARRAY_SIZE(params), done, arg);
}

int store_alert_update(struct db *db, const struct alert_row *row, db_done *done, void *arg)
{
	const struct db_param params[] = {
		DB_P_INT8(row->alert_id),
		DB_P_TEXT(row->level),
		value_or_null(row->peak_value),
		value_or_null(row->last_value),
		DB_P_TEXT(row->title),
		DB_P_JSON(row->doc),
		db_fence(db),
	};

	return db_query(db, Q_ALERT_UPDATE, params, ARRAY_SIZE(params), done, arg);
}

int store_alert_resolve(struct db *db, const struct alert_row *row, db_done *done, void *arg)
{
	const struct db_param params[] = {
		DB_P_INT8(row->alert_id),
		DB_P_TIME(row->resolved_us),
		value_or_null(row->resolved_value),
		value_or_null(row->last_value),
		DB_P_JSON(row->doc),
		db_fence(db),
	};

	return db_query(db, Q_ALERT_RESOLVE, params, ARRAY_SIZE(params), done, arg);
}

int store_alert_ack(struct db_tx *tx, int64_t alert_id, const char *by, int64_t now_us,
		    db_check *check)
{
	const struct db_param params[] = {DB_P_INT8(alert_id), DB_P_TIME(now_us), DB_P_TEXT(by)};

	return db_tx_query(tx, Q_ALERT_ACK, params, ARRAY_SIZE(params), check);
}

int store_alert_list(struct db *db, const struct alert_filter *f, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_TEXT(f->state), DB_P_INT4(f->host_id),
					  DB_P_INT8(f->before_id), DB_P_INT4(f->limit)};

	return db_query(db, Q_ALERT_LIST, params, ARRAY_SIZE(params), done, arg);
}

int store_alert_get(struct db *db, int64_t alert_id, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_INT8(alert_id)};

	return db_query(db, Q_ALERT_GET, params, ARRAY_SIZE(params), done, arg);
}

static int64_t time_of(const struct db_result *r, size_t i, unsigned col)
{
	return db_is_null(r, i, col) ? 0 : db_time(r, i, col);
}

static double value_of(const struct db_result *r, size_t i, unsigned col)
{
	return db_is_null(r, i, col) ? NAN : db_float(r, i, col);
}

/* The column that only the list has. */
#define UNMAILED 20

void store_alert_row(const struct db_result *r, size_t i, struct alert_row *ret)
{
	*ret = (struct alert_row){
		.alert_id = db_int(r, i, 0),
		.key = db_text(r, i, 1),
		.rule = db_text(r, i, 2),
		.host_id = (int32_t)db_int(r, i, 3),
		.host = db_text(r, i, 4),
		.subject = db_text(r, i, 5),
		.proc_id = db_int(r, i, 6),
		.service = db_text(r, i, 7),
		.level = db_text(r, i, 8),
		.state = db_text(r, i, 9),
		.opened_us = time_of(r, i, 10),
		.resolved_us = time_of(r, i, 11),
		.acked_us = time_of(r, i, 12),
		.acked_by = db_text(r, i, 13),
		.first_value = value_of(r, i, 14),
		.peak_value = value_of(r, i, 15),
		.last_value = value_of(r, i, 16),
		.resolved_value = value_of(r, i, 17),
		.title = db_text(r, i, 18),
		.doc = db_text(r, i, 19),
		.unmailed = db_columns(r) > UNMAILED && db_int(r, i, UNMAILED),
	};
}
