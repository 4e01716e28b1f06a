/* SPDX-License-Identifier: Apache-2.0 */
/* What makes a command: asked for, left to wait, approved, given up. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "collector/command/ledger_inner.h"
#include "collector/store/store_maintenance.h"
#include "common/str.h"

#define COUNTER_NAME "command"

static int on_key(void *arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	struct entry *e = arg;
	struct action_row before;

	MAGIC_CHECK(e, LEDGER_ENTRY_MAGIC);
	if (!db_rows(r))
		return 0;
	store_command_row(r, 0, &before);
	if (before.has_request_hash &&
	    memcmp(before.request_hash, e->row.request_hash, SHA256_SIZE) == 0) {
		e->row = before;
		e->verdict = 1;
	} else {
		e->verdict = -EEXIST;
	}
	return -EEXIST;
}

/* An operator chose the id: his statement is good once. */
static int on_known(void *arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	struct entry *e = arg;

	MAGIC_CHECK(e, LEDGER_ENTRY_MAGIC);
	if (!db_rows(r))
		return 0;
	return e->verdict = error_set(&e->why, -EINVAL,
				      "this operator's signature was used for an action already");
}

/* The audit table's lock puts issuers in a row: what is not there now does not come meanwhile. */
static int on_open(void *arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	struct entry *e = arg;

	MAGIC_CHECK(e, LEDGER_ENTRY_MAGIC);
	if (!db_rows(r))
		return 0;
	return e->verdict =
		       error_set(&e->why, -EBUSY, "%s",
				 db_int(r, 0, 0)
					 ? "the same waits for approval on this process already"
					 : "another action is under way on this process");
}

static int on_maintenance(void *arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	struct entry *e = arg;
	char until[STR_TIME_SIZE], reason[101];

	MAGIC_CHECK(e, LEDGER_ENTRY_MAGIC);
	if (!db_rows(r))
		return 0;
	str_time(until, db_time(r, 0, 1));
	str_safe(reason, sizeof(reason), db_text(r, 0, 3), strlen(db_text(r, 0, 3)));
	return e->verdict = error_set(&e->why, -EPERM,
				      "maintenance %" PRId64 " holds until %.19sZ, set by %s: %s",
				      db_int(r, 0, 0), until, db_text(r, 0, 2), reason);
}

static int64_t time_or_0(const struct db_result *r, unsigned col)
{
	return db_is_null(r, 0, col) ? 0 : db_time(r, 0, col);
}

static int on_standdown(void *arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	struct entry *e = arg;
	struct standdown_facts f;

	MAGIC_CHECK(e, LEDGER_ENTRY_MAGIC);
	if (db_rows(r) != 1)
		return -EBADMSG;
	f = (struct standdown_facts){
		.running = db_int(r, 0, 0),
		.last_hour = db_int(r, 0, 1),
		.busy = db_text(r, 0, 2),
		.touched_us = time_or_0(r, 3),
		.proven_us = time_or_0(r, 4),
		.canary = db_text(r, 0, 5),
		.bad = db_int(r, 0, 6),
		.bad_us = time_or_0(r, 7),
	};
	return e->verdict =
		       standdown_judge(&e->ledger->limits, &f, str_starts(e->row.actor, "rule:"),
				       e->approves ? e->row.approved_us : e->row.created_us,
				       &e->why);
}

/* A leader's command carries its own number; a person's that of whoever leads, whatever collector
 * was asked. */
static int on_fence(void *arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	struct entry *e = arg;

	MAGIC_CHECK(e, LEDGER_ENTRY_MAGIC);
	if (!db_rows(r))
		return e->verdict = -ESTALE;
	if (db_int(r, 0, 0) > 0)
		e->row.fence = db_int(r, 0, 0);
	e->cmd.fence = (uint64_t)e->row.fence;
	return 0;
}

static int on_counter(void *arg, struct db_tx *tx, const struct db_result *r)
{
	struct entry *e = arg;
	int rc;

	MAGIC_CHECK(e, LEDGER_ENTRY_MAGIC);
	if (db_rows(r) != 1)
		return -EBADMSG;
	e->row.counter = db_int(r, 0, 0);
	e->cmd.counter = (uint64_t)e->row.counter;
	e->request.has_warrant = e->row.has_warrant;
	e->request.warrant = e->row.warrant;
	command_pack(e->request.body, &e->cmd);
	rc = sign_make(e->sign, COMMAND_DOMAIN, e->request.body, sizeof(e->request.body),
		       e->request.signature);
	if (rc < 0)
		return rc;
	if (e->approves)
		return store_command_approve(tx, &e->row, &e->request, ledger_on_row);
	return store_command_add(tx, &e->row, e->has_key ? e->key : NULL, &e->request,
				 ledger_on_row);
}

/* May it be done now? Asked of what is asked for, and again of what is approved. */
static int judge_steps(struct entry *e, struct db_tx *tx)
{
	int64_t now_us = e->approves ? e->row.approved_us : e->row.created_us;
	int rc = 0;

	if (!e->row.dry_run)
		rc = store_maintenance_holds(tx, &e->row, e->service, now_us, on_maintenance);
	if (rc == 0 && !e->row.dry_run)
		rc = store_command_open(tx, &e->row, on_open);
	/* What changes nothing is not limited. */
	if (rc == 0 && !e->row.dry_run && e->cmd.action != COMMAND_CENSUS)
		rc = store_command_standdown(tx, &e->row, e->service, on_standdown);
	return rc;
}

static int issue_steps(struct entry *e, struct db_tx *tx)
{
	int rc = 0;

	if (e->has_key)
		rc = store_command_by_key(tx, e->row.host_id, e->row.actor, e->key, on_key);
	if (rc == 0 && e->row.has_warrant)
		rc = store_command_known(tx, &e->row, on_known);
	if (rc == 0)
		rc = judge_steps(e, tx);
	if (rc == 0)
		rc = store_command_fence(tx, str_starts(e->row.actor, "rule:"), on_fence);
	if (rc == 0 && e->waits)
		return store_command_add(tx, &e->row, e->has_key ? e->key : NULL, NULL,
					 ledger_on_row);
	return rc < 0 ? rc : store_counter_next(tx, COUNTER_NAME, on_counter);
}

static void take_order(struct entry *e, const struct action_row *row, const struct command *cmd,
		       const char *service)
{
	e->row = *row;
	e->cmd = *cmd;
	(void)str_copy(e->service, sizeof(e->service), service);
}

static void take_key(struct entry *e, const char *key)
{
	e->has_key = key;
	if (key)
		(void)str_copy(e->key, sizeof(e->key), key);
}

int ledger_issue(struct ledger *l, const struct action_row *row, const struct command *cmd,
		 const char *service, const char *key, const struct sign_key *sign,
		 ledger_done *done, void *arg)
{
	struct entry *e = ledger_entry_new(l, "command.issue", done, arg);

	if (!e)
		return -ENOBUFS;
	e->sign = sign;
	take_order(e, row, cmd, service);
	take_key(e, key);
	return ledger_run(e, issue_steps);
}

int ledger_wait(struct ledger *l, const struct action_row *row, const struct command *cmd,
		const char *service, const char *key, ledger_done *done, void *arg)
{
	struct entry *e = ledger_entry_new(l, "command.wait", done, arg);

	if (!e)
		return -ENOBUFS;
	e->waits = true;
	take_order(e, row, cmd, service);
	take_key(e, key);
	return ledger_run(e, issue_steps);
}

/* ---- what waits for a second person ---- */

static int on_waiting(void *arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	struct entry *e = arg;

	MAGIC_CHECK(e, LEDGER_ENTRY_MAGIC);
	if (!db_rows(r))
		e->verdict = -ENOENT;
	return e->verdict;
}

/* A person's word: whoever leads now, its number is the command's. */
static int approve_steps(struct entry *e, struct db_tx *tx)
{
	int rc = store_command_waiting(tx, &e->row, e->row.approved_us, on_waiting);

	if (rc == 0)
		rc = judge_steps(e, tx);
	if (rc == 0)
		rc = store_command_fence(tx, false, on_fence);
	return rc < 0 ? rc : store_counter_next(tx, COUNTER_NAME, on_counter);
}

int ledger_approve(struct ledger *l, const struct action_row *row, const struct command *cmd,
		   const char *service, const struct sign_key *sign, ledger_done *done, void *arg)
{
	struct entry *e = ledger_entry_new(l, "command.approve", done, arg);

	if (!e)
		return -ENOBUFS;
	e->approves = true;
	e->sign = sign;
	(void)str_copy(e->by, sizeof(e->by), row->approved_by);
	take_order(e, row, cmd, service);
	return ledger_run(e, approve_steps);
}

static int cancel_steps(struct entry *e, struct db_tx *tx)
{
	return store_command_cancel(tx, &e->row, e->now_us, e->now_us - e->grace_us, e->by,
				    ledger_on_row);
}

int ledger_cancel(struct ledger *l, const struct action_row *row, const char *by, int64_t now_us,
		  int64_t grace_us, ledger_done *done, void *arg)
{
	struct entry *e = ledger_entry_new(l, "command.cancel", done, arg);

	if (!e)
		return -ENOBUFS;
	e->row = *row;
	e->now_us = now_us;
	e->grace_us = grace_us;
	(void)str_copy(e->by, sizeof(e->by), by);
	return ledger_run(e, cancel_steps);
}
