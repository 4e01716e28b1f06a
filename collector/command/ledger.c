/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/ledger.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "collector/command/ledger_inner.h"
#include "common/clock.h"
#include "common/str.h"

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

	MAGIC_CHECK(e, LEDGER_ENTRY_MAGIC);
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

	MAGIC_CHECK(e, LEDGER_ENTRY_MAGIC);
	return store_audit_add(tx, &row, r, NULL);
}

/* The command's row is written: it is kept for done, and told of. */
int ledger_on_row(void *arg, struct db_tx *tx, const struct db_result *r)
{
	struct entry *e = arg;
	const struct command_span journal = e->row.journal;
	auto_free char *doc = NULL;

	MAGIC_CHECK(e, LEDGER_ENTRY_MAGIC);
	if (db_rows(r) != 1)
		return e->verdict = -ENOENT;
	store_command_row(r, 0, &e->row);
	e->row.journal = journal;
	target_of(&e->row, e->target, sizeof(e->target));
	doc = audit_doc(&e->row, e->by);
	return doc ? store_audit_head(tx, doc, on_head) : -ENOMEM;
}

/* ---- an entry is a transaction whose first step is the audit table's lock ---- */

struct entry *ledger_entry_new(struct ledger *l, const char *what, ledger_done *done, void *arg)
{
	struct entry *e;

	if (l->in_flight >= LEDGER_IN_FLIGHT_MAX)
		return NULL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->magic = LEDGER_ENTRY_MAGIC;
	e->ledger = l;
	e->what = what;
	e->done = done;
	e->arg = arg;
	DL_APPEND(l->entries, e);
	l->in_flight++;
	return e;
}

int ledger_run(struct entry *e, int (*steps)(struct entry *e, struct db_tx *tx))
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

/* ---- its end ---- */

static int finish_steps(struct entry *e, struct db_tx *tx)
{
	return store_command_finish(tx, &e->row, ledger_on_row);
}

int ledger_finish(struct ledger *l, const struct action_row *row, ledger_done *done, void *arg)
{
	struct entry *e = ledger_entry_new(l, "command.end", done, arg);

	if (!e)
		return -ENOBUFS;
	e->row = *row;
	return ledger_run(e, finish_steps);
}

static int expire_steps(struct entry *e, struct db_tx *tx)
{
	return store_command_expire(tx, e->now_us, e->grace_us, ledger_on_row);
}

int ledger_expire(struct ledger *l, int64_t now_us, int64_t grace_us, ledger_done *done, void *arg)
{
	struct entry *e = ledger_entry_new(l, "command.expire", done, arg);

	if (!e)
		return -ENOBUFS;
	e->now_us = now_us;
	e->grace_us = grace_us;
	return ledger_run(e, expire_steps);
}

static int on_effect(void *arg, struct db_tx *tx, const struct db_result *r)
{
	struct entry *e = arg;

	MAGIC_CHECK(e, LEDGER_ENTRY_MAGIC);
	if (*e->row.verdict || db_rows(r) != 1)
		return ledger_on_row(arg, tx, r);
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
	struct entry *e = ledger_entry_new(l, "command.verdict", done, arg);

	if (!e)
		return -ENOBUFS;
	e->row = *row;
	e->due_us = due_us;
	return ledger_run(e, effect_steps);
}

/* ---- breakers ---- */

static int on_trip(void *arg, struct db_tx *tx, const struct db_result *r)
{
	struct entry *e = arg;
	struct breaker_row b;
	char until[STR_TIME_SIZE];
	auto_free char *doc = NULL;
	json_t *o;

	MAGIC_CHECK(e, LEDGER_ENTRY_MAGIC);
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
	struct entry *e = ledger_entry_new(l, "breaker.open", done, arg);

	if (!e)
		return -ENOBUFS;
	e->row = *row;
	e->now_us = clock_wall_us();
	return ledger_run(e, trip_steps);
}
