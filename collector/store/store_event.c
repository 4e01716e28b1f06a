/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_event.h"

int store_event_list(struct db *db, const struct event_filter *f, db_done *done, void *arg)
{
	const struct db_param params[] = {
		DB_P_TIME(f->from_us),
		DB_P_TIME(f->to_us),
		DB_P_INT4(f->host_id),
		DB_P_TEXT(f->kind),
		f->after.t_us ? DB_P_TIME(f->after.t_us) : DB_P_NULL,
		DB_P_INT4(f->after.host_id),
		DB_P_INT8(f->after.epoch),
		DB_P_INT8(f->after.seq),
		DB_P_INT2(f->after.idx),
		DB_P_INT4(f->limit),
	};

	return db_query(db, Q_EVENT_LIST, params, ARRAY_SIZE(params), done, arg);
}

void store_event_row(const struct db_result *r, size_t i, struct event_row *ret)
{
	*ret = (struct event_row){
		.at = {.t_us = db_time(r, i, 0),
		       .host_id = (int32_t)db_int(r, i, 1),
		       .epoch = db_int(r, i, 2),
		       .seq = db_int(r, i, 3),
		       .idx = (int16_t)db_int(r, i, 4)},
		.kind = db_text(r, i, 5),
		.proc_id = db_int(r, i, 6),
		.doc = db_text(r, i, 7),
		.host = db_text(r, i, 8),
		.verdict = db_text(r, i, 9),
	};
}
