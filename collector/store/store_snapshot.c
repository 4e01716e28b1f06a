/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_snapshot.h"

int store_snapshot_list(struct db *db, const struct snapshot_filter *f, db_done *done, void *arg)
{
	const struct db_param params[] = {
		DB_P_INT4(f->host_id),
		DB_P_INT8(f->proc_id),
		f->kind ? DB_P_TEXT(f->kind) : DB_P_NULL,
		f->command_id ? DB_P_TEXT(f->command_id) : DB_P_NULL,
		f->after_us ? DB_P_TIME(f->after_us) : DB_P_NULL,
		DB_P_INT8(f->after_snapshot),
		DB_P_INT4(f->limit),
	};

	return db_query(db, Q_SNAPSHOT_LIST, params, ARRAY_SIZE(params), done, arg);
}

int store_snapshot_get(struct db *db, int64_t id, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_INT8(id)};

	return db_query(db, Q_SNAPSHOT_GET, params, ARRAY_SIZE(params), done, arg);
}

int store_snapshot_pair(struct db *db, int64_t id, int64_t base, db_done *done, void *arg)
{
	const struct db_param params[] = {
		DB_P_INT8(id),
		base ? DB_P_INT8(base) : DB_P_NULL,
	};

	return db_query(db, Q_SNAPSHOT_PAIR, params, ARRAY_SIZE(params), done, arg);
}

void store_snapshot_head(const struct db_result *r, size_t i, struct snapshot_head *ret)
{
	*ret = (struct snapshot_head){
		.snapshot_id = db_int(r, i, 0),
		.t_us = db_time(r, i, 1),
		.host_id = (int32_t)db_int(r, i, 2),
		.host = db_text(r, i, 3),
		.proc_id = db_int(r, i, 4),
		.pid = (int32_t)db_int(r, i, 5),
		.service = db_text(r, i, 6),
		.comm = db_text(r, i, 7),
		.kind = db_text(r, i, 8),
		.reason = db_text(r, i, 9),
		.command_id = db_text(r, i, 10),
		.subject = db_text(r, i, 11),
		.totals = db_text(r, i, 12),
		.note = db_text(r, i, 13),
	};
}

const char *store_snapshot_rows(const struct db_result *r, size_t i)
{
	return db_text(r, i, 14);
}
