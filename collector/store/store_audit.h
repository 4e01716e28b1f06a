/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_audit.h - the audit log: each row's hash is SHA-256 over the hash before it and the row's
 * canonical text, so an edited, removed or inserted row breaks the chain from there on. What it
 * cannot show alone is a cut at the end: keep a head hash elsewhere for that.
 *
 * Rows are added within the transaction of what they tell about; the table is locked against other
 * writers from store_audit_begin to the commit, so the chain has one order with several collectors.
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_AUDIT_H
#define MEMHERD_COLLECTOR_STORE_STORE_AUDIT_H

#include "collector/store/db.h"
#include "common/sign.h"

#define AUDIT_TARGET_SIZE 320

struct audit_row {
	int64_t audit_id;
	int64_t ts_us;
	const char *actor;
	const char *action;
	const char *target;
	const char *doc; /* as jsonb prints it */
	uint8_t prev[SHA256_SIZE];
	uint8_t hash[SHA256_SIZE];
};

/* SHA-256(prev || netstrings of ts, actor, action, target, doc): a netstring ('3:abc,') says its
 * length, so no two rows have one text. -ENOMEM. */
int audit_hash(const uint8_t prev[SHA256_SIZE], const struct audit_row *row,
	       uint8_t ret[SHA256_SIZE]) must_use;

/* First step of a transaction that will add a row: takes the lock. */
int store_audit_begin(struct db_tx *tx) must_use;
/* Asks for the chain's head and for doc as jsonb prints it; check gets the result and hands it to
 * store_audit_add, with the same row. */
int store_audit_head(struct db_tx *tx, const char *doc, db_check *check) must_use;
int store_audit_add(struct db_tx *tx, const struct audit_row *row, const struct db_result *head,
		    db_check *check) must_use;

/* Rows after audit_id 'after', oldest first. */
int store_audit_list(struct db *db, int64_t after, int limit, db_done *done, void *arg) must_use;
void store_audit_row(const struct db_result *r, size_t i, struct audit_row *ret);

/* Walks rows in order. Zero it before the first row of the table. */
struct audit_chain {
	uint8_t head[SHA256_SIZE];
	uint64_t rows;
};
/* -EBADMSG: this row does not follow from the one before, or is not what was hashed. */
int audit_chain_check(struct audit_chain *c, const struct audit_row *row,
		      struct error *err) must_use;

#endif
