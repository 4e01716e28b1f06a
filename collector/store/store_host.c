/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_host.h"

int store_process_get(struct db *db, int64_t proc_id, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_INT8(proc_id)};

	return db_query(db, Q_HOST_PROCESS_GET, params, ARRAY_SIZE(params), done, arg);
}

void store_process_row(const struct db_result *r, size_t i, struct process_row *ret)
{
	*ret = (struct process_row){
		.host_id = (int32_t)db_int(r, i, 0),
		.host = db_text(r, i, 1),
		.proc_id = db_int(r, i, 2),
		.pid = (int32_t)db_int(r, i, 3),
		.ppid = (int32_t)db_int(r, i, 4),
		.uid = db_int(r, i, 5),
		.comm = db_text(r, i, 6),
		.cmdline = db_text(r, i, 7),
		.exe = db_text(r, i, 8),
		.cgroup = db_text(r, i, 9),
		.service = db_text(r, i, 10),
		.first_seen_us = db_time(r, i, 11),
		.last_seen_us = db_is_null(r, i, 12) ? 0 : db_time(r, i, 12),
		.start_ticks = db_int(r, i, 13),
		.container = db_text(r, i, 14),
		.role = db_text(r, i, 15),
		.slot = (int32_t)db_int(r, i, 16),
		.cause = db_text(r, i, 17),
		.confidence = db_text(r, i, 18),
		.verdict = db_text(r, i, 19),
		.exit_code = (int32_t)db_int(r, i, 20),
		.exit_signal = (int32_t)db_int(r, i, 21),
	};
}
