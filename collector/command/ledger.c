/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/ledger.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "collector/store/store_audit.h"
#include "common/clock.h"
#include "common/str.h"

#define ENTRY_MAGIC  0x656e7472u /* 'entr' */
#define COUNTER_NAME "command"

struct entry {
	unsigned magic;
	struct ledger *ledger;
	struct entry *prev, *next; /* utlist */
	const char *what;          /* of the audit row: 'command.issue' */
	struct action_row row;
	struct command cmd;
	struct command_request request;
	const struct sign_key *sign;
	char key[LEDGER_KEY_SIZE];
	bool has_key;
	char service[ACTION_NAME_SIZE];
	char target[AUDIT_TARGET_SIZE];
	int64_t now_us; /* expire */
	int64_t due_us; /* effect */
	int64_t grace_us;
	bool waits;                  /* issue: stored unsigned, for somebody to approve */
	bool approves;               /* what waits is signed now */
	char by[COMMAND_ACTOR_SIZE]; /* who approves or cancels; '' = the row's actor */
	int verdict; /* decided by a check: what done gets instead of the roll-back's error */
	struct error why;
	ledger_done *done;
	void *arg;
};

void ledger_init(struct ledger *l, struct db *db, const struct standdown_limits *limits)
{
	*l = (struct ledger){.db = db, .limits = *limits};
}

static void entry_free(struct entry *e)
{
	DL_DELETE(e->ledger->entries, e);
	e->ledger->in_flight--;
	e->magic = 0;
	free(e);
}

void ledger_fini(struct ledger *l)
{
	struct entry *e, *next;

	DL_FOREACH_SAFE (l->entries, e, next)
		entry_free(e);
}

static void on_done(void *arg, int rc, const struct db_result *r unused_arg,
		    const struct error *err)
{
	struct entry *e = arg;
	struct entry copy;

	MAGIC_CHECK(e, ENTRY_MAGIC);
	if (rc < 0 && e->verdict)
		rc = e->verdict;
	else if (rc > 0)
		rc = 0;
	copy = *e;
	entry_free(e);
	if (*copy.why.msg)
		err = &copy.why;
	if (copy.done)
		copy.done(copy.arg, rc, &copy.row, rc == 0 ? &copy.request : NULL, err);
}

/* ---- the audit row, last step of every entry ---- */

static void target_of(const struct action_row *row, char *out, size_t size)
{
	if (row->pid)
		snprintf(out, size, "%s:%d", *row->host ? row->host : "host", row->pid);
	else
		snprintf(out, size, "%s", *row->host ? row->host : "host");
}

static json_t *measure(int64_t v)
{
	return v < 0 ? json_null() : json_integer(v);
}

static json_t *journal_doc(const struct command_span *s)
{
	char head[2 * COMMAND_LINK_SIZE + 1];

	str_hex(head, s->head, sizeof(s->head));
	return json_pack("{s:I, s:I, s:s}", "last", (json_int_t)s->last, "records",
			 (json_int_t)s->records, "head", head);
}

static char *audit_doc(const struct action_row *row, const char *by)
{
	char id[UUID_TEXT_SIZE];
	json_t *doc;
	char *text;

	uuid_text(id, row->cmd_id);
	doc = json_pack("{s:s, s:s, s:s, s:b, s:i, s:I, s:i, s:s, s:I, s:I, s:o, s:o, s:s}", "id",
			id, "action", row->action, "state", row->state, "dry_run", row->dry_run,
			"host_id", row->host_id, "proc_id", (json_int_t)row->proc_id, "pid",
			row->pid, "reason", row->reason, "counter", (json_int_t)row->counter,
			"alert_id", (json_int_t)row->alert_id, "rss_before_bytes",
			measure(row->rss_before), "rss_after_bytes", measure(row->rss_after),
			"detail", row->detail);
	if (!doc)
		return NULL;
	if (*row->verdict)
		json_object_set_new(doc, "verdict", json_string(row->verdict));
	if (*by)
		json_object_set_new(doc, "requested_by", json_string(row->actor));
	if (row->has_warrant)
		json_object_set_new(doc, "warrant_signed", json_true());
	if (*row->approved_by)
		json_object_set_new(doc, "approved_by", json_string(row->approved_by));
	if (row->journal.last)
		json_object_set_new(doc, "journal", journal_doc(&row->journal));
	text = json_dumps(doc, JSON_COMPACT);
	json_decref(doc);
	return text;
}

static int on_head(void *arg, struct db_tx *tx, const struct db_result *r)
{
	struct entry *e = arg;
	const struct audit_row row = {
		.ts_us = clock_wall_us(),
		.actor = *e->by ? e->by : e->row.actor,
		.action = e->what,
		.target = e->target,
	};

	MAGIC_CHECK(e, ENTRY_MAGIC);
	return store_audit_add(tx, &row, r, NULL);
}

/* The command's row is written: it is kept for done, and told of. */
static int on_row(void *arg, struct db_tx *tx, const struct db_result *r)
{
	struct entry *e = arg;
	const struct command_span journal = e->row.journal;
	auto_free char *doc = NULL;

	MAGIC_CHECK(e, ENTRY_MAGIC);
	if (db_rows(r) != 1)
		return e->verdict = -ENOENT;
	store_command_row(r, 0, &e->row);
	e->row.journal = journal;
	target_of(&e->row, e->target, sizeof(e->target));
	doc = audit_doc(&e->row, e->by);
	return doc ? store_audit_head(tx, doc, on_head) : -ENOMEM;
}

/* ---- issue ---- */

static int on_key(void *arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	struct entry *e = arg;
	struct action_row before;

	MAGIC_CHECK(e, ENTRY_MAGIC);
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

	MAGIC_CHECK(e, ENTRY_MAGIC);
	if (!db_rows(r))
		return 0;
	return e->verdict = error_set(&e->why, -EINVAL,
				      "this operator's signature was used for an action already");
}

/* The audit table's lock puts issuers in a row: what is not there now does not come meanwhile. */
static int on_open(void *arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	struct entry *e = arg;

	MAGIC_CHECK(e, ENTRY_MAGIC);
	if (!db_rows(r))
		return 0;
	return e->verdict =
		       error_set(&e->why, -EBUSY, "%s",
				 db_int(r, 0, 0)
					 ? "the same waits for approval on this process already"
					 : "another action is under way on this process");
}

static int64_t time_or_0(const struct db_result *r, unsigned col)
{
	return db_is_null(r, 0, col) ? 0 : db_time(r, 0, col);
}

static int on_standdown(void *arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	struct entry *e = arg;
	struct standdown_facts f;

	MAGIC_CHECK(e, ENTRY_MAGIC);
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

	MAGIC_CHECK(e, ENTRY_MAGIC);
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

	MAGIC_CHECK(e, ENTRY_MAGIC);
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
		return store_command_approve(tx, &e->row, &e->request, on_row);
	return store_command_add(tx, &e->row, e->has_key ? e->key : NULL, &e->request, on_row);
}

/* ---- an entry is a transaction whose first step is the audit table's lock ---- */

static struct entry *entry_new(struct ledger *l, const char *what, ledger_done *done, void *arg)
{
	struct entry *e;

	if (l->in_flight >= LEDGER_IN_FLIGHT_MAX)
		return NULL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->magic = ENTRY_MAGIC;
	e->ledger = l;
	e->what = what;
	e->done = done;
	e->arg = arg;
	DL_APPEND(l->entries, e);
	l->in_flight++;
	return e;
}

static int run(struct entry *e, int (*steps)(struct entry *e, struct db_tx *tx))
{
	struct db_tx *tx = NULL;
	int rc = db_tx_new(e->ledger->db, &tx);

	if (!rc)
		rc = store_audit_begin(tx);
	if (!rc)
		rc = steps(e, tx);
	if (!rc)
		rc = db_tx_commit(&tx, on_done, e);
	if (rc < 0) {
		db_tx_free(&tx);
		entry_free(e);
	}
	return rc;
}

/* May it be done now? Asked of what is asked for, and again of what is approved. */
static int judge_steps(struct entry *e, struct db_tx *tx)
{
	int rc = 0;

	if (!e->row.dry_run)
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
		return store_command_add(tx, &e->row, e->has_key ? e->key : NULL, NULL, on_row);
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
	struct entry *e = entry_new(l, "command.issue", done, arg);

	if (!e)
		return -ENOBUFS;
	e->sign = sign;
	take_order(e, row, cmd, service);
	take_key(e, key);
	return run(e, issue_steps);
}

int ledger_wait(struct ledger *l, const struct action_row *row, const struct command *cmd,
		const char *service, const char *key, ledger_done *done, void *arg)
{
	struct entry *e = entry_new(l, "command.wait", done, arg);

	if (!e)
		return -ENOBUFS;
	e->waits = true;
	take_order(e, row, cmd, service);
	take_key(e, key);
	return run(e, issue_steps);
}

/* ---- what waits for a second person ---- */

static int on_waiting(void *arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	struct entry *e = arg;

	MAGIC_CHECK(e, ENTRY_MAGIC);
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
	struct entry *e = entry_new(l, "command.approve", done, arg);

	if (!e)
		return -ENOBUFS;
	e->approves = true;
	e->sign = sign;
	(void)str_copy(e->by, sizeof(e->by), row->approved_by);
	take_order(e, row, cmd, service);
	return run(e, approve_steps);
}

static int cancel_steps(struct entry *e, struct db_tx *tx)
{
	return store_command_cancel(tx, &e->row, e->now_us, e->now_us - e->grace_us, e->by, on_row);
}

int ledger_cancel(struct ledger *l, const struct action_row *row, const char *by, int64_t now_us,
		  int64_t grace_us, ledger_done *done, void *arg)
{
	struct entry *e = entry_new(l, "command.cancel", done, arg);

	if (!e)
		return -ENOBUFS;
	e->row = *row;
	e->now_us = now_us;
	e->grace_us = grace_us;
	(void)str_copy(e->by, sizeof(e->by), by);
	return run(e, cancel_steps);
}

/* ---- its end ---- */

static int finish_steps(struct entry *e, struct db_tx *tx)
{
	return store_command_finish(tx, &e->row, on_row);
}

int ledger_finish(struct ledger *l, const struct action_row *row, ledger_done *done, void *arg)
{
	struct entry *e = entry_new(l, "command.end", done, arg);

	if (!e)
		return -ENOBUFS;
	e->row = *row;
	return run(e, finish_steps);
}

static int expire_steps(struct entry *e, struct db_tx *tx)
{
	return store_command_expire(tx, e->now_us, e->grace_us, on_row);
}

int ledger_expire(struct ledger *l, int64_t now_us, int64_t grace_us, ledger_done *done, void *arg)
{
	struct entry *e = entry_new(l, "command.expire", done, arg);

	if (!e)
		return -ENOBUFS;
	e->now_us = now_us;
	e->grace_us = grace_us;
	return run(e, expire_steps);
}

static int on_effect(void *arg, struct db_tx *tx, const struct db_result *r)
{
	struct entry *e = arg;

	MAGIC_CHECK(e, ENTRY_MAGIC);
	if (*e->row.verdict || db_rows(r) != 1)
		return on_row(arg, tx, r);
	store_command_row(r, 0, &e->row);
	return 0;
}

static int effect_steps(struct entry *e, struct db_tx *tx)
{
	return store_command_effect(tx, &e->row, e->due_us, on_effect);
}

int ledger_effect(struct ledger *l, const struct action_row *row, int64_t due_us, ledger_done *done,
		  void *arg)
{
	struct entry *e = entry_new(l, "command.verdict", done, arg);

	if (!e)
		return -ENOBUFS;
	e->row = *row;
	e->due_us = due_us;
	return run(e, effect_steps);
}

/* ---- breakers ---- */

static int on_trip(void *arg, struct db_tx *tx, const struct db_result *r)
{
	struct entry *e = arg;
	struct breaker_row b;
	char until[STR_TIME_SIZE];
	auto_free char *doc = NULL;
	json_t *o;

	MAGIC_CHECK(e, ENTRY_MAGIC);
	if (db_rows(r) != 1)
		return e->verdict = -ENOENT;
	store_breaker_row(r, 0, &b);
	str_time(until, b.until_us);
	snprintf(e->target, sizeof(e->target), "%s %s", b.actor, b.action);
	snprintf(e->row.detail, sizeof(e->row.detail),
		 "%s of %s gave nothing %d times in a row: not asked for again until %.19sZ",
		 b.action, b.actor, (int)b.results, until);
	o = json_pack("{s:s, s:s, s:I, s:s}", "actor", b.actor, "action", b.action, "results",
		      (json_int_t)b.results, "until", until);
	doc = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return doc ? store_audit_head(tx, doc, on_head) : -ENOMEM;
}

static int trip_steps(struct entry *e, struct db_tx *tx)
{
	const struct standdown_limits *l = &e->ledger->limits;

	return store_breaker_trip(tx, e->row.actor, e->row.action, e->now_us, l->breaker,
				  l->breaker_us, on_trip);
}

int ledger_trip(struct ledger *l, const struct action_row *row, ledger_done *done, void *arg)
{
	struct entry *e = entry_new(l, "breaker.open", done, arg);

	if (!e)
		return -ENOBUFS;
	e->row = *row;
	e->now_us = clock_wall_us();
	return run(e, trip_steps);
}
