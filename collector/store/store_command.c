/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_command.h"

#include <errno.h>
#include <string.h>

#include "common/str.h"

static struct db_param measure_or_null(int64_t v)
{
	return v < 0 ? DB_P_NULL : DB_P_INT8(v);
}

static struct db_param warrant_or_null(const struct action_row *row)
{
	return row->has_warrant ? DB_P_BYTES(&row->warrant, sizeof(row->warrant)) : DB_P_NULL;
}

static int64_t time_of(const struct db_result *r, size_t i, unsigned col)
{
	return db_is_null(r, i, col) ? 0 : db_time(r, i, col);
}

static int64_t measure_of(const struct db_result *r, size_t i, unsigned col)
{
	return db_is_null(r, i, col) ? -1 : db_int(r, i, col);
}

static bool bytes_of(const struct db_result *r, size_t i, unsigned col, void *out, size_t size)
{
	size_t len = 0;
	const uint8_t *p = db_is_null(r, i, col) ? NULL : db_bytes(r, i, col, &len);

	if (!p || len != size)
		return false;
	memcpy(out, p, size);
	return true;
}

void store_command_row(const struct db_result *r, size_t i, struct action_row *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->host_id = (int32_t)db_int(r, i, 0);
	(void)bytes_of(r, i, 1, ret->cmd_id, sizeof(ret->cmd_id));
	(void)str_copy(ret->action, sizeof(ret->action), db_text(r, i, 2));
	(void)str_copy(ret->state, sizeof(ret->state), db_text(r, i, 3));
	ret->dry_run = db_int(r, i, 4);
	ret->proc_id = db_int(r, i, 5);
	ret->pid = (int32_t)db_int(r, i, 6);
	(void)str_copy(ret->host, sizeof(ret->host), db_text(r, i, 7));
	(void)str_copy(ret->process, sizeof(ret->process), db_text(r, i, 8));
	(void)str_copy(ret->actor, sizeof(ret->actor), db_text(r, i, 9));
	(void)str_copy(ret->reason, sizeof(ret->reason), db_text(r, i, 10));
	ret->alert_id = db_is_null(r, i, 11) ? 0 : db_int(r, i, 11);
	ret->counter = db_int(r, i, 12);
	ret->fence = db_int(r, i, 13);
	ret->created_us = time_of(r, i, 14);
	ret->expires_us = time_of(r, i, 15);
	ret->sent_us = time_of(r, i, 16);
	ret->done_us = time_of(r, i, 17);
	ret->rss_before = measure_of(r, i, 18);
	ret->rss_after = measure_of(r, i, 19);
	ret->swap_before = measure_of(r, i, 20);
	ret->swap_after = measure_of(r, i, 21);
	ret->held_us = measure_of(r, i, 22);
	(void)str_copy(ret->detail, sizeof(ret->detail), db_text(r, i, 23));
	(void)str_copy(ret->params, sizeof(ret->params), db_text(r, i, 25));
	(void)str_copy(ret->effects, sizeof(ret->effects), db_text(r, i, 26));
	(void)str_copy(ret->verdict, sizeof(ret->verdict), db_text(r, i, 27));
	ret->verify_next_us = time_of(r, i, 28);
	(void)str_copy(ret->history, sizeof(ret->history), db_text(r, i, 29));
	ret->approved_us = time_of(r, i, 30);
	(void)str_copy(ret->approved_by, sizeof(ret->approved_by), db_text(r, i, 31));
	ret->has_warrant = bytes_of(r, i, 32, &ret->warrant, sizeof(ret->warrant));
	ret->has_request_hash = bytes_of(r, i, 24, ret->request_hash, sizeof(ret->request_hash));
}

int store_command_list(struct db *db, const struct command_filter *f, db_done *done, void *arg)
{
	const struct db_param params[] = {
		DB_P_INT4(f->host_id),   DB_P_TEXT(f->state),
		DB_P_INT8(f->alert_id),  f->before_us ? DB_P_TIME(f->before_us) : DB_P_NULL,
		DB_P_UUID(f->before_id), DB_P_INT4(f->limit),
	};

	return db_query(db, Q_COMMAND_LIST, params, ARRAY_SIZE(params), done, arg);
}

int store_command_get(struct db *db, const uint8_t cmd_id[16], db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_UUID(cmd_id)};

	return db_query(db, Q_COMMAND_GET, params, ARRAY_SIZE(params), done, arg);
}

int store_command_by_key(struct db_tx *tx, int32_t host_id, const char *actor, const char *key,
			 db_check *check)
{
	const struct db_param params[] = {DB_P_INT4(host_id), DB_P_TEXT(actor), DB_P_TEXT(key)};

	return db_tx_query(tx, Q_COMMAND_BY_KEY, params, ARRAY_SIZE(params), check);
}

int store_command_open(struct db_tx *tx, const struct action_row *row, db_check *check)
{
	const struct db_param params[] = {DB_P_INT4(row->host_id), DB_P_INT8(row->proc_id),
					  DB_P_TEXT(row->action), DB_P_UUID(row->cmd_id)};

	return db_tx_query(tx, Q_COMMAND_OPEN, params, ARRAY_SIZE(params), check);
}

int store_counter_next(struct db_tx *tx, const char *name, db_check *check)
{
	const struct db_param params[] = {DB_P_TEXT(name)};

	return db_tx_query(tx, Q_COUNTER_NEXT, params, ARRAY_SIZE(params), check);
}

int store_command_add(struct db_tx *tx, const struct action_row *row, const char *key,
		      const struct command_request *signed_body, db_check *check)
{
	const struct db_param params[] = {
		DB_P_INT4(row->host_id),
		DB_P_UUID(row->cmd_id),
		DB_P_TEXT(row->action),
		DB_P_BOOL(row->dry_run),
		DB_P_INT8(row->proc_id),
		DB_P_INT4(row->pid),
		DB_P_TEXT(row->actor),
		DB_P_TEXT(row->reason),
		row->alert_id ? DB_P_INT8(row->alert_id) : DB_P_NULL,
		DB_P_INT8(row->counter),
		DB_P_INT8(row->fence),
		DB_P_TIME(row->created_us),
		DB_P_TIME(row->expires_us),
		signed_body ? DB_P_BYTES(signed_body->body, sizeof(signed_body->body)) : DB_P_NULL,
		signed_body ? DB_P_BYTES(signed_body->signature, sizeof(signed_body->signature))
			    : DB_P_NULL,
		DB_P_TEXT(key),
		key ? DB_P_BYTES(row->request_hash, SHA256_SIZE) : DB_P_NULL,
		DB_P_JSON(row->params),
		warrant_or_null(row),
	};

	return db_tx_query(tx, Q_COMMAND_ADD, params, ARRAY_SIZE(params), check);
}

int store_command_known(struct db_tx *tx, const struct action_row *row, db_check *check)
{
	const struct db_param params[] = {DB_P_UUID(row->cmd_id)};

	return db_tx_query(tx, Q_COMMAND_KNOWN, params, ARRAY_SIZE(params), check);
}

int store_command_waiting(struct db_tx *tx, const struct action_row *row, int64_t now_us,
			  db_check *check)
{
	const struct db_param params[] = {DB_P_INT4(row->host_id), DB_P_UUID(row->cmd_id),
					  DB_P_TIME(now_us)};

	return db_tx_query(tx, Q_COMMAND_WAITING, params, ARRAY_SIZE(params), check);
}

int store_command_approve(struct db_tx *tx, const struct action_row *row,
			  const struct command_request *signed_body, db_check *check)
{
	const struct db_param params[] = {
		DB_P_INT4(row->host_id),
		DB_P_UUID(row->cmd_id),
		DB_P_INT8(row->counter),
		DB_P_INT8(row->fence),
		DB_P_BYTES(signed_body->body, sizeof(signed_body->body)),
		DB_P_BYTES(signed_body->signature, sizeof(signed_body->signature)),
		DB_P_TIME(row->expires_us),
		DB_P_TIME(row->approved_us),
		DB_P_TEXT(row->approved_by),
		warrant_or_null(row),
	};

	return db_tx_query(tx, Q_COMMAND_APPROVE, params, ARRAY_SIZE(params), check);
}

int store_command_cancel(struct db_tx *tx, const struct action_row *row, int64_t now_us,
			 int64_t before_us, const char *by, db_check *check)
{
	const struct db_param params[] = {DB_P_INT4(row->host_id), DB_P_UUID(row->cmd_id),
					  DB_P_TIME(now_us), DB_P_TIME(before_us), DB_P_TEXT(by)};

	return db_tx_query(tx, Q_COMMAND_CANCEL, params, ARRAY_SIZE(params), check);
}

int store_command_pending(struct db *db, int32_t host_id, int64_t now_us, int limit, int writer,
			  db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_INT4(host_id), DB_P_TIME(now_us), DB_P_INT4(limit),
					  DB_P_INT2(writer)};

	return db_query(db, Q_COMMAND_PENDING, params, ARRAY_SIZE(params), done, arg);
}

int store_command_claim(struct db *db, const int64_t *host_ids, size_t n, int64_t now_us,
			int64_t before_us, int writer, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_INT4S(host_ids, n), DB_P_TIME(now_us),
					  DB_P_TIME(before_us), DB_P_INT2(writer)};

	return db_query(db, Q_COMMAND_CLAIM, params, ARRAY_SIZE(params), done, arg);
}

int store_command_finished(struct db *db, int64_t created_us, int64_t done_us, db_done *done,
			   void *arg)
{
	const struct db_param params[] = {DB_P_TIME(created_us), DB_P_TIME(done_us)};

	return db_query(db, Q_COMMAND_FINISHED, params, ARRAY_SIZE(params), done, arg);
}

int store_command_fence(struct db_tx *tx, bool leader, db_check *check)
{
	const struct db_param params[] = {db_tx_fence(tx), DB_P_BOOL(leader)};

	return db_tx_query(tx, Q_LEASE_FENCE, params, ARRAY_SIZE(params), check);
}

int store_command_body(const struct db_result *r, size_t i, struct command_body *ret)
{
	if (!bytes_of(r, i, 0, ret->cmd_id, sizeof(ret->cmd_id)) ||
	    !bytes_of(r, i, 1, ret->request.body, sizeof(ret->request.body)) ||
	    !bytes_of(r, i, 2, ret->request.signature, sizeof(ret->request.signature)))
		return -EBADMSG;
	ret->host_id = (int32_t)db_int(r, i, 3);
	ret->request.has_warrant =
		bytes_of(r, i, 4, &ret->request.warrant, sizeof(ret->request.warrant));
	return 0;
}

int store_command_sent(struct db *db, int32_t host_id, const uint8_t cmd_id[16], int64_t now_us,
		       int writer, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_INT4(host_id), DB_P_UUID(cmd_id), DB_P_TIME(now_us),
					  DB_P_INT2(writer)};

	return db_query(db, Q_COMMAND_SENT, params, ARRAY_SIZE(params), done, arg);
}

int store_command_finish(struct db_tx *tx, const struct action_row *row, db_check *check)
{
	const struct db_param params[] = {
		DB_P_INT4(row->host_id),
		DB_P_UUID(row->cmd_id),
		DB_P_TEXT(row->state),
		DB_P_TIME(row->done_us),
		measure_or_null(row->rss_before),
		measure_or_null(row->rss_after),
		measure_or_null(row->swap_before),
		measure_or_null(row->swap_after),
		measure_or_null(row->held_us),
		DB_P_TEXT(row->detail),
		row->verify_next_us ? DB_P_TIME(row->verify_next_us) : DB_P_NULL,
	};

	return db_tx_query(tx, Q_COMMAND_FINISH, params, ARRAY_SIZE(params), check);
}

int store_command_expire(struct db_tx *tx, int64_t now_us, int64_t grace_us, db_check *check)
{
	const struct db_param params[] = {DB_P_TIME(now_us), DB_P_TIME(now_us - grace_us),
					  db_tx_fence(tx)};

	return db_tx_query(tx, Q_COMMAND_EXPIRE, params, ARRAY_SIZE(params), check);
}

int store_command_verify_due(struct db *db, int64_t now_us, int limit, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_TIME(now_us), DB_P_INT4(limit)};

	return db_query(db, Q_COMMAND_VERIFY_DUE, params, ARRAY_SIZE(params), done, arg);
}

int store_command_due(const struct db_result *r, size_t i, struct verify_due *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->host_id = (int32_t)db_int(r, i, 0);
	ret->proc_id = db_int(r, i, 2);
	ret->done_us = time_of(r, i, 3);
	ret->due_us = time_of(r, i, 4);
	ret->rss_before = measure_of(r, i, 5);
	ret->rss_after = measure_of(r, i, 6);
	(void)str_copy(ret->effects, sizeof(ret->effects), db_text(r, i, 7));
	(void)str_copy(ret->service, sizeof(ret->service), db_text(r, i, 8));
	(void)str_copy(ret->comm, sizeof(ret->comm), db_text(r, i, 9));
	(void)str_copy(ret->role, sizeof(ret->role), db_text(r, i, 10));
	ret->slot = (int32_t)db_int(r, i, 11);
	return bytes_of(r, i, 1, ret->cmd_id, sizeof(ret->cmd_id)) && ret->done_us ? 0 : -EBADMSG;
}

int store_command_effect(struct db_tx *tx, const struct action_row *row, int64_t due_us,
			 db_check *check)
{
	const struct db_param params[] = {
		DB_P_INT4(row->host_id),
		DB_P_UUID(row->cmd_id),
		DB_P_TIME(due_us),
		DB_P_TEXT(row->effects),
		*row->verdict ? DB_P_TEXT(row->verdict) : DB_P_NULL,
		row->verify_next_us ? DB_P_TIME(row->verify_next_us) : DB_P_NULL,
		db_tx_fence(tx),
	};

	return db_tx_query(tx, Q_COMMAND_EFFECT, params, ARRAY_SIZE(params), check);
}

int store_command_standdown(struct db_tx *tx, const struct action_row *row, const char *service,
			    db_check *check)
{
	const struct db_param params[] = {
		DB_P_INT4(row->host_id), DB_P_INT8(row->proc_id), DB_P_TEXT(row->action),
		DB_P_TEXT(row->actor),   DB_P_TEXT(service),      DB_P_TIME(row->created_us),
	};

	return db_tx_query(tx, Q_COMMAND_STANDDOWN, params, ARRAY_SIZE(params), check);
}
