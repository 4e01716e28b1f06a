/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_maintenance.h"

#include "common/str.h"

void store_maintenance_row(const struct db_result *r, size_t i, struct maintenance_row *ret)
{
	*ret = (struct maintenance_row){
		.id = db_int(r, i, 0),
		.starts_us = db_time(r, i, 3),
		.until_us = db_time(r, i, 4),
		.created_us = db_time(r, i, 6),
		.ended_us = db_is_null(r, i, 8) ? 0 : db_time(r, i, 8),
	};
	(void)str_copy(ret->host, sizeof(ret->host), db_text(r, i, 1));
	(void)str_copy(ret->service, sizeof(ret->service), db_text(r, i, 2));
	(void)str_copy(ret->reason, sizeof(ret->reason), db_text(r, i, 5));
	(void)str_copy(ret->created_by, sizeof(ret->created_by), db_text(r, i, 7));
	(void)str_copy(ret->ended_by, sizeof(ret->ended_by), db_text(r, i, 9));
}

int store_maintenance_add(struct db_tx *tx, const struct maintenance_row *row, db_check *check)
{
	const struct db_param params[] = {DB_P_TEXT(row->host),       DB_P_TEXT(row->service),
					  DB_P_TIME(row->starts_us),  DB_P_TIME(row->until_us),
					  DB_P_TEXT(row->reason),     DB_P_TIME(row->created_us),
					  DB_P_TEXT(row->created_by), DB_P_INT4(MAINTENANCES_MAX)};

	return db_tx_query(tx, Q_MAINTENANCE_ADD, params, ARRAY_SIZE(params), check);
}

int store_maintenance_end(struct db_tx *tx, int64_t id, int64_t now_us, const char *by,
			  db_check *check)
{
	const struct db_param params[] = {DB_P_INT8(id), DB_P_TIME(now_us), DB_P_TEXT(by)};

	return db_tx_query(tx, Q_MAINTENANCE_END, params, ARRAY_SIZE(params), check);
}

int store_maintenance_list(struct db *db, bool open, int64_t now_us, int64_t before, int limit,
			   db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_BOOL(open), DB_P_TIME(now_us), DB_P_INT8(before),
					  DB_P_INT4(limit)};

	return db_query(db, Q_MAINTENANCE_LIST, params, ARRAY_SIZE(params), done, arg);
}

int store_maintenance_holds(struct db_tx *tx, const struct action_row *row, const char *service,
			    int64_t now_us, db_check *check)
{
	const struct db_param params[] = {DB_P_INT4(row->host_id), DB_P_INT8(row->proc_id),
					  DB_P_TEXT(service), DB_P_TIME(now_us)};

	return db_tx_query(tx, Q_MAINTENANCE_HOLDS, params, ARRAY_SIZE(params), check);
}
