/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/told.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "collector/store/store_audit.h"
#include "collector/store/store_journal.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define TOLD_MAGIC  0x746f6c64u
#define ENTRY_MAGIC 0x746f6c65u
#define WHY_SIZE    256
#define ROWS_MAX    2

struct entry {
	unsigned magic;
	struct told *told;
	struct entry *prev, *next; /* utlist */
	struct told_item item;
	bool under_way;
	bool known;
	char why[WHY_SIZE];
	char host[ACTION_NAME_SIZE];
	char target[AUDIT_TARGET_SIZE];
	const char *actions[ROWS_MAX]; /* of the audit rows that are to be written */
	unsigned n;
	unsigned at;
};

struct told {
	unsigned magic;
	struct told_config config;
	struct entry *entries;
	unsigned n;
};

static void entry_free(struct entry *e)
{
	DL_DELETE(e->told->entries, e);
	e->told->n--;
	e->magic = 0;
	free(e);
}

/* ---- one transaction ---- */

static char *make_doc(const struct entry *e)
{
	const struct told_item *i = &e->item;
	char id[UUID_TEXT_SIZE], before[2 * COMMAND_LINK_SIZE + 1], head[2 * COMMAND_LINK_SIZE + 1];
	char when[STR_TIME_SIZE];
	json_t *doc;
	char *text;

	uuid_text(id, i->cmd_id);
	str_hex(before, i->run.before, sizeof(i->run.before));
	str_hex(head, i->run.head, sizeof(i->run.head));
	doc = json_pack("{s:s, s:i, s:{s:I, s:I, s:s, s:s}}", "id", id, "host_id", i->host_id,
			"journal", "last", (json_int_t)i->run.last, "records",
			(json_int_t)i->run.records, "before", before, "head", head);
	if (!doc)
		return NULL;
	if (e->at == 0 && *e->why)
		json_object_set_new(doc, "why", json_string(e->why));
	if (i->what != TOLD_RESULT) {
		json_object_set_new(doc, "action", json_string(i->action));
		json_object_set_new(doc, "status", json_string(i->status));
		json_object_set_new(doc, "dry_run", json_boolean(i->dry_run));
		json_object_set_new(doc, "pid", json_integer(i->pid));
		json_object_set_new(doc, "detail", json_string(i->detail));
		json_object_set_new(doc, "time", json_string(str_time(when, i->t_us)));
	}
	text = json_dumps(doc, JSON_COMPACT);
	json_decref(doc);
	return text;
}

static int on_head(void *arg, struct db_tx *tx, const struct db_result *r);

static int write_next(struct entry *e, struct db_tx *tx)
{
	auto_free char *doc = NULL;

	if (e->at == e->n)
		return 0;
	doc = make_doc(e);
	return doc ? store_audit_head(tx, doc, on_head) : -ENOMEM;
}

static int on_added(void *arg, struct db_tx *tx, const struct db_result *r unused_arg)
{
	struct entry *e = arg;

	MAGIC_CHECK(e, ENTRY_MAGIC);
	e->at++;
	return write_next(e, tx);
}

static int on_head(void *arg, struct db_tx *tx, const struct db_result *r)
{
	struct entry *e = arg;
	const struct audit_row row = {
		.ts_us = clock_wall_us(),
		.actor = e->item.what == TOLD_BY_HAND ? "root by hand" : "host",
		.action = e->actions[e->at],
		.target = e->target,
	};

	MAGIC_CHECK(e, ENTRY_MAGIC);
	return store_audit_add(tx, &row, r, on_added);
}

static int on_told(void *arg, struct db_tx *tx, const struct db_result *r)
{
	static const char *const words[] = {
		[TOLD_BY_HAND] = "host.action",
		[TOLD_CUT_SHORT] = "host.cut_short",
		[TOLD_NOTE] = "host.note",
	};
	struct entry *e = arg;
	bool ours;

	MAGIC_CHECK(e, ENTRY_MAGIC);
	e->n = e->at = 0;
	if (db_rows(r) != 1)
		return -EBADMSG;
	e->known = db_is_null(r, 0, 0);
	if (e->known)
		return -EEXIST;
	(void)str_copy(e->why, sizeof(e->why), db_text(r, 0, 0));
	ours = db_int(r, 0, 1);
	(void)str_copy(e->host, sizeof(e->host), db_text(r, 0, 2));
	snprintf(e->target, sizeof(e->target), "%s%s%.0d", *e->host ? e->host : "host",
		 e->item.pid ? ":" : "", e->item.pid);
	if (*e->why)
		e->actions[e->n++] = "journal.broken";
	if (e->item.what != TOLD_RESULT)
		e->actions[e->n++] = words[e->item.what];
	else if (!ours)
		e->actions[e->n++] = "journal.unknown";
	return write_next(e, tx);
}

static void tell(const struct entry *e)
{
	const struct told_config *c = &e->told->config;

	if (*e->why) {
		log_error("host=%d journal=%" PRIu64 " event=broken why=\"%s\"", e->item.host_id,
			  e->item.run.last, e->why);
		if (c->broken)
			c->broken(c->arg, e->host, e->why);
	}
	if (e->item.what != TOLD_RESULT)
		log_info("host=%d event=%s action=%s pid=%d status=%s detail=\"%s\"",
			 e->item.host_id, e->actions[e->n - 1], e->item.action, e->item.pid,
			 e->item.status, e->item.detail);
}

static bool is_passing(int rc)
{
	return rc == -ENOTCONN || rc == -EPIPE || rc == -EINPROGRESS || rc == -ENOBUFS;
}

static void begin_first(struct told *t);

static void on_done(void *arg, int rc, const struct db_result *r unused_arg,
		    const struct error *err)
{
	struct entry *e = arg;
	struct told *t;

	MAGIC_CHECK(e, ENTRY_MAGIC);
	t = e->told;
	e->under_way = false;
	if (rc >= 0) {
		tell(e);
	} else if (!e->known && is_passing(rc)) {
		return;
	} else if (!e->known) {
		log_warn("host=%d journal=%" PRIu64 " event=not_stored error=\"%s\"",
			 e->item.host_id, e->item.run.last, err ? err->msg : strerror(-rc));
	}
	entry_free(e);
	begin_first(t);
}

static void begin(struct entry *e)
{
	struct db_tx *tx = NULL;
	int rc = db_tx_new(e->told->config.db, &tx);

	e->known = false;
	if (rc == 0)
		rc = store_audit_begin(tx);
	if (rc == 0)
		rc = store_journal_told(tx, e->item.host_id, e->item.cmd_id, &e->item.run,
					e->item.what == TOLD_NOTE ? e->item.detail : "",
					clock_wall_us(), on_told);
	if (rc == 0)
		rc = db_tx_commit(&tx, on_done, e);
	if (rc < 0)
		db_tx_free(&tx);
	else
		e->under_way = true;
}

/* ---- the queue: one after the other, as they came ---- */

static void begin_first(struct told *t)
{
	if (t->entries && !t->entries->under_way)
		begin(t->entries);
}

void told_add(struct told *t, const struct told_item *item)
{
	struct entry *e;

	MAGIC_CHECK(t, TOLD_MAGIC);
	/* What no host would tell is no news of it. */
	if (!item->run.records || item->run.records > 2 || item->run.last > INT64_MAX ||
	    item->run.last < item->run.records)
		return;
	e = t->n < TOLD_MAX ? calloc(1, sizeof(*e)) : NULL;
	if (!e) {
		log_warn("host=%d journal=%" PRIu64 " event=not_stored error=\"too much waits\"",
			 item->host_id, item->run.last);
		return;
	}
	*e = (struct entry){.magic = ENTRY_MAGIC, .told = t, .item = *item};
	DL_APPEND(t->entries, e);
	t->n++;
	begin_first(t);
}

void told_turn(struct told *t)
{
	MAGIC_CHECK(t, TOLD_MAGIC);
	begin_first(t);
}

int told_new(const struct told_config *c, struct told **ret)
{
	struct told *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->magic = TOLD_MAGIC;
	t->config = *c;
	*ret = t;
	return 0;
}

void told_free(struct told **slot)
{
	struct told *t = take_ptr(*slot);
	struct entry *e, *next;

	if (!t)
		return;
	DL_FOREACH_SAFE (t->entries, e, next)
		entry_free(e);
	t->magic = 0;
	free(t);
}
