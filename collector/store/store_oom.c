/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_oom.h"

int store_oom_list(struct db *db, const struct oom_filter *f, db_done *done, void *arg)
{
	const struct db_param params[] = {
		DB_P_TIME(f->from_us),    DB_P_TIME(f->to_us),
		DB_P_INT4(f->host_id),    DB_P_TEXT(f->service),
		DB_P_TEXT(f->cause),      f->after_us ? DB_P_TIME(f->after_us) : DB_P_NULL,
		DB_P_INT4(f->after_host), DB_P_INT8(f->after_kill),
		DB_P_INT4(f->limit),
	};

	return db_query(db, Q_OOM_KILL_LIST, params, ARRAY_SIZE(params), done, arg);
}

int store_oom_get(struct db *db, int64_t kill_id, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_INT8(kill_id)};

	return db_query(db, Q_OOM_KILL_GET, params, ARRAY_SIZE(params), done, arg);
}

void store_oom_row(const struct db_result *r, size_t i, struct oom_row *ret)
{
	*ret = (struct oom_row){
		.kill_id = db_int(r, i, 0),
		.t_us = db_time(r, i, 1),
		.host_id = (int32_t)db_int(r, i, 2),
		.host = db_text(r, i, 3),
		.cause = db_text(r, i, 4),
		.confidence = db_text(r, i, 5),
		.oom = db_int(r, i, 6),
		.complete = db_int(r, i, 7),
		.replayed = db_int(r, i, 8),
		.proc_id = db_int(r, i, 9),
		.pid = (int32_t)db_int(r, i, 10),
		.comm = db_text(r, i, 11),
		.service = db_text(r, i, 12),
		.container = db_text(r, i, 13),
		.rss_bytes = db_int(r, i, 14),
		.limit_cgroup = db_text(r, i, 15),
		.limit_owner = db_text(r, i, 16),
		.limit_bytes = db_int(r, i, 17),
		.verdict = db_text(r, i, 18),
		.grower = db_text(r, i, 19),
	};
}

void store_oom_around(const struct db_result *r, size_t i, struct oom_around *ret)
{
	*ret = (struct oom_around){
		.doc = db_text(r, i, 20),
		.process = db_text(r, i, 21),
		.actions = db_text(r, i, 22),
		.service = db_text(r, i, 23),
		.alerts = db_text(r, i, 24),
	};
}
