/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_journal.h"

#include <string.h>

#include "common/str.h"

int store_journal_told(struct db_tx *tx, int32_t host_id, const uint8_t cmd_id[16],
		       const struct command_span *run, const char *note, int64_t now_us,
		       db_check *check)
{
	const struct db_param params[] = {
		DB_P_INT4(host_id),
		DB_P_INT8((int64_t)run->last),
		DB_P_INT4((int32_t)run->records),
		DB_P_BYTES(run->before, sizeof(run->before)),
		DB_P_BYTES(run->head, sizeof(run->head)),
		DB_P_UUID(cmd_id),
		DB_P_TIME(now_us),
		DB_P_TEXT(note),
	};

	return db_tx_query(tx, Q_JOURNAL_TOLD, params, ARRAY_SIZE(params), check);
}

int store_journal_state(struct db *db, int limit, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_INT4(limit)};

	return db_query(db, Q_JOURNAL_STATE, params, ARRAY_SIZE(params), done, arg);
}

void store_journal_row(const struct db_result *r, size_t i, struct journal_row *ret)
{
	size_t len = 0;
	const uint8_t *head = db_bytes(r, i, 3, &len);

	*ret = (struct journal_row){
		.host_id = (int32_t)db_int(r, i, 0),
		.host = db_text(r, i, 1),
		.last = db_int(r, i, 2),
		.untold = db_int(r, i, 4),
		.breaks = (int32_t)db_int(r, i, 5),
		.why = db_text(r, i, 6),
		.told_us = db_time(r, i, 7),
	};
	if (head && len == sizeof(ret->head))
		memcpy(ret->head, head, len);
}

bool store_journal_is_key(const char *key)
{
	return str_starts(key, "journal of host|");
}
