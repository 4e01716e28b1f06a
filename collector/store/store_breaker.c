/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_breaker.h"

#include "common/str.h"

void store_breaker_row(const struct db_result *r, size_t i, struct breaker_row *ret)
{
	*ret = (struct breaker_row){
		.opened_us = db_time(r, i, 2),
		.until_us = db_time(r, i, 3),
		.results = db_int(r, i, 4),
		.closed_us = db_is_null(r, i, 5) ? 0 : db_time(r, i, 5),
	};
	(void)str_copy(ret->actor, sizeof(ret->actor), db_text(r, i, 0));
	(void)str_copy(ret->action, sizeof(ret->action), db_text(r, i, 1));
	(void)str_copy(ret->closed_by, sizeof(ret->closed_by), db_text(r, i, 6));
}

bool store_breaker_is_key(const char *key)
{
	return str_starts(key, "breaker|rule:");
}

int store_breaker_trip(struct db_tx *tx, const char *actor, const char *action, int64_t now_us,
		       int64_t results, int64_t open_us, db_check *check)
{
	const struct db_param params[] = {DB_P_TEXT(actor),   DB_P_TEXT(action),  DB_P_TIME(now_us),
					  DB_P_INT4(results), DB_P_INT8(open_us), db_tx_fence(tx)};

	return db_tx_query(tx, Q_BREAKER_TRIP, params, ARRAY_SIZE(params), check);
}

int store_breaker_over(struct db *db, int64_t now_us, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_TIME(now_us), db_fence(db)};

	return db_query(db, Q_BREAKER_OVER, params, ARRAY_SIZE(params), done, arg);
}

int store_breaker_list(struct db *db, int limit, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_INT4(limit)};

	return db_query(db, Q_BREAKER_LIST, params, ARRAY_SIZE(params), done, arg);
}

int store_breaker_close(struct db_tx *tx, const char *actor, const char *action, int64_t now_us,
			const char *by, db_check *check)
{
	const struct db_param params[] = {DB_P_TEXT(actor), DB_P_TEXT(action), DB_P_TIME(now_us),
					  DB_P_TEXT(by)};

	return db_tx_query(tx, Q_BREAKER_CLOSE, params, ARRAY_SIZE(params), check);
}

int store_breaker_due(struct db *db, int64_t now_us, int64_t results, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_TIME(now_us), DB_P_INT4(results)};

	return db_query(db, Q_BREAKER_DUE, params, ARRAY_SIZE(params), done, arg);
}
