/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_audit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define AUDIT_TEXT_MAX ((size_t)1024 * 1024)

static void put_netstring(struct buf *b, const char *s)
{
	buf_printf(b, "%zu:", strlen(s));
	buf_puts(b, s);
	buf_putc(b, ',');
}

int audit_hash(const uint8_t prev[SHA256_SIZE], const struct audit_row *row,
	       uint8_t ret[SHA256_SIZE])
{
	auto_buf struct buf b = BUF_INIT(AUDIT_TEXT_MAX);
	char ts[24];

	buf_put(&b, prev, SHA256_SIZE);
	snprintf(ts, sizeof(ts), "%" PRId64, row->ts_us);
	put_netstring(&b, ts);
	put_netstring(&b, row->actor);
	put_netstring(&b, row->action);
	put_netstring(&b, row->target);
	put_netstring(&b, row->doc);
	if (buf_status(&b) < 0)
		return -ENOMEM;
	sha256(ret, b.data, b.len);
	return 0;
}

int store_audit_begin(struct db_tx *tx)
{
	return db_tx_query(tx, Q_AUDIT_LOCK, NULL, 0, NULL);
}

int store_audit_head(struct db_tx *tx, const char *doc, db_check *check)
{
	const struct db_param params[] = {DB_P_JSON(doc)};

	return db_tx_query(tx, Q_AUDIT_HEAD, params, ARRAY_SIZE(params), check);
}

int store_audit_add(struct db_tx *tx, const struct audit_row *row, const struct db_result *head,
		    db_check *check)
{
	struct audit_row full = *row;
	const uint8_t *prev;
	size_t len;
	int rc;

	if (db_rows(head) != 1)
		return -EBADMSG;
	prev = db_bytes(head, 0, 0, &len);
	if (len != SHA256_SIZE)
		return -EBADMSG;
	memcpy(full.prev, prev, SHA256_SIZE);
	full.doc = db_text(head, 0, 1);
	rc = audit_hash(full.prev, &full, full.hash);
	if (rc < 0)
		return rc;

	const struct db_param params[] = {
		DB_P_TIME(full.ts_us),
		DB_P_TEXT(full.actor),
		DB_P_TEXT(full.action),
		DB_P_TEXT(full.target),
		DB_P_JSON(full.doc),
		DB_P_BYTES(full.prev, SHA256_SIZE),
		DB_P_BYTES(full.hash, SHA256_SIZE),
	};

	return db_tx_query(tx, Q_AUDIT_ADD, params, ARRAY_SIZE(params), check);
}

int store_audit_list(struct db *db, int64_t after, int limit, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_INT8(after), DB_P_INT4(limit)};

	return db_query(db, Q_AUDIT_LIST, params, ARRAY_SIZE(params), done, arg);
}

/* A hash of the wrong size reads as zeros, which no check accepts. */
static void read_hash(const struct db_result *r, size_t i, unsigned col, uint8_t out[SHA256_SIZE])
{
	size_t len;
	const uint8_t *p = db_bytes(r, i, col, &len);

	memset(out, 0, SHA256_SIZE);
	if (p && len == SHA256_SIZE)
		memcpy(out, p, SHA256_SIZE);
}

void store_audit_row(const struct db_result *r, size_t i, struct audit_row *ret)
{
	*ret = (struct audit_row){
		.audit_id = db_int(r, i, 0),
		.ts_us = db_time(r, i, 1),
		.actor = db_text(r, i, 2),
		.action = db_text(r, i, 3),
		.target = db_text(r, i, 4),
		.doc = db_text(r, i, 5),
	};
	read_hash(r, i, 6, ret->prev);
	read_hash(r, i, 7, ret->hash);
}

int audit_chain_check(struct audit_chain *c, const struct audit_row *row, struct error *err)
{
	uint8_t hash[SHA256_SIZE];
	int rc;

	if (memcmp(row->prev, c->head, SHA256_SIZE) != 0)
		return error_set(err, -EBADMSG,
				 "audit row %" PRId64
				 " does not follow the row before it: one was removed or put in",
				 row->audit_id);
	rc = audit_hash(c->head, row, hash);
	if (rc < 0)
		return error_sys(err, rc, "cannot hash audit row %" PRId64, row->audit_id);
	if (memcmp(row->hash, hash, SHA256_SIZE) != 0)
		return error_set(err, -EBADMSG,
				 "audit row %" PRId64 " was changed after it was written",
				 row->audit_id);
	memcpy(c->head, hash, SHA256_SIZE);
	c->rows++;
	return 0;
}
