/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_life.h"

#include "collector/store/store_inner.h"
#include "collector/store/store_replica.h"

int store_lives(struct store *s, int32_t host_id, const char *service, int64_t from_us,
		int processes, db_done *done, void *arg)
{
	const struct db_param params[] = {
		DB_P_INT4(host_id),          DB_P_TEXT(service),
		DB_P_TIME(from_us),          DB_P_INT4(processes),
		DB_P_INT8(s->cfg.window_us), DB_P_INT4(store_rollup_parts(s->cfg.window_us)),
	};

	return db_query(store_reader_of_chunks(s), Q_LIVES, params, ARRAY_SIZE(params), done, arg);
}

void store_life_row(const struct db_result *r, size_t i, struct life_row *ret)
{
	*ret = (struct life_row){
		.proc_id = db_int(r, i, 0),
		.role = db_text(r, i, 1),
		.slot = (int32_t)db_int(r, i, 2),
		.from_us = db_time(r, i, 3),
		.to_us = db_time(r, i, 4),
		.rss_first = db_int(r, i, 5),
		.rss_last = db_int(r, i, 6),
		.cpu_ms = db_int(r, i, 7),
	};
}
