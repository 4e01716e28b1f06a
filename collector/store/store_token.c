/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_token.h"

#include <string.h>

static int64_t time_of(const struct db_result *r, size_t i, unsigned col)
{
	return db_is_null(r, i, col) ? 0 : db_time(r, i, col);
}

int store_token_list(struct db *db, db_done *done, void *arg)
{
	return db_query(db, Q_TOKEN_LIST, NULL, 0, done, arg);
}

int store_token_add(struct db_tx *tx, const struct api_token_row *row, db_check *check)
{
	const struct db_param params[] = {
		DB_P_TEXT(row->name),
		DB_P_BYTES(row->hash, SHA256_SIZE),
		DB_P_TEXT(row->scopes),
		DB_P_TEXT(row->created_by),
		row->expires_us ? DB_P_TIME(row->expires_us) : DB_P_NULL,
	};

	return db_tx_query(tx, Q_TOKEN_ADD, params, ARRAY_SIZE(params), check);
}

int store_token_revoke(struct db_tx *tx, int64_t token_id, int64_t now_us, db_check *check)
{
	const struct db_param params[] = {DB_P_INT8(token_id), DB_P_TIME(now_us)};

	return db_tx_query(tx, Q_TOKEN_REVOKE, params, ARRAY_SIZE(params), check);
}

void store_token_row(const struct db_result *r, size_t i, struct api_token_row *ret)
{
	size_t len = 0;
	const uint8_t *hash = db_bytes(r, i, 7, &len);

	*ret = (struct api_token_row){
		.token_id = db_int(r, i, 0),
		.name = db_text(r, i, 1),
		.scopes = db_text(r, i, 2),
		.created_by = db_text(r, i, 3),
		.created_us = time_of(r, i, 4),
		.expires_us = time_of(r, i, 5),
		.revoked_us = time_of(r, i, 6),
	};
	if (len == SHA256_SIZE)
		memcpy(ret->hash, hash, len);
}

int store_enroll_list(struct db *db, int64_t now_us, int64_t before_id, int limit, db_done *done,
		      void *arg)
{
	const struct db_param params[] = {DB_P_TIME(now_us), DB_P_INT8(before_id),
					  DB_P_INT4(limit)};

	return db_query(db, Q_ENROLL_LIST, params, ARRAY_SIZE(params), done, arg);
}

int store_enroll_add(struct db_tx *tx, const struct enroll_token_row *row, db_check *check)
{
	const struct db_param params[] = {
		DB_P_BYTES(row->hash, SHA256_SIZE),
		DB_P_TEXT(row->created_by),
		DB_P_TIME(row->expires_us),
		DB_P_INT4(row->uses_left),
		DB_P_TEXT(row->note),
	};

	return db_tx_query(tx, Q_ENROLL_ADD, params, ARRAY_SIZE(params), check);
}

int store_enroll_revoke(struct db_tx *tx, int64_t token_id, db_check *check)
{
	const struct db_param params[] = {DB_P_INT8(token_id)};

	return db_tx_query(tx, Q_ENROLL_REVOKE, params, ARRAY_SIZE(params), check);
}

void store_enroll_row(const struct db_result *r, size_t i, struct enroll_token_row *ret)
{
	*ret = (struct enroll_token_row){
		.token_id = db_int(r, i, 0),
		.created_us = time_of(r, i, 1),
		.created_by = db_text(r, i, 2),
		.expires_us = time_of(r, i, 3),
		.uses_left = (int32_t)db_int(r, i, 4),
		.note = db_text(r, i, 5),
	};
}
