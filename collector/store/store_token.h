/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_token.h - verbs on tables 'api_token' and 'enroll_token', as REST needs them. Only hashes
 * are kept; taking a use of an enrolment token is store_fleet's and enrolment's. What changes a row
 * is a step of a transaction, which holds its audit row too.
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_TOKEN_H
#define MEMHERD_COLLECTOR_STORE_STORE_TOKEN_H

#include "collector/store/db.h"
#include "common/sign.h"

struct api_token_row {
	int64_t token_id;
	const char *name;   /* strings: into the result, or the caller's */
	const char *scopes; /* one a line */
	const char *created_by;
	int64_t created_us;
	int64_t expires_us; /* 0 = never */
	int64_t revoked_us; /* 0 = not */
	uint8_t hash[SHA256_SIZE];
};

/* Newest first, at most 4096. */
int store_token_list(struct db *db, db_done *done, void *arg) must_use;
/* name, scopes, hash, created_by, expires; gives the row. */
int store_token_add(struct db_tx *tx, const struct api_token_row *row, db_check *check) must_use;
/* Gives the row, or none when it is unknown or revoked already. */
int store_token_revoke(struct db_tx *tx, int64_t token_id, int64_t now_us,
		       db_check *check) must_use;
void store_token_row(const struct db_result *r, size_t i, struct api_token_row *ret);

struct enroll_token_row {
	int64_t token_id;
	int64_t created_us;
	const char *created_by;
	int64_t expires_us;
	int32_t uses_left;
	const char *note;
	uint8_t hash[SHA256_SIZE]; /* to write only */
};

/* Those that can still be used, with ids below before_id (0 = from the newest), newest first. */
int store_enroll_list(struct db *db, int64_t now_us, int64_t before_id, int limit, db_done *done,
		      void *arg) must_use;
int store_enroll_add(struct db_tx *tx, const struct enroll_token_row *row,
		     db_check *check) must_use;
/* Takes its uses away; gives the row, or none. */
int store_enroll_revoke(struct db_tx *tx, int64_t token_id, db_check *check) must_use;
void store_enroll_row(const struct db_result *r, size_t i, struct enroll_token_row *ret);

#endif
