/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/change.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/api/api.h"
#include "collector/api/call.h"
#include "collector/store/store_audit.h"

static int on_head(void *arg, struct db_tx *tx, const struct db_result *r)
{
	struct call *c = call_of(arg);
	char target[AUDIT_TARGET_SIZE];
	const struct audit_row row = {
		.ts_us = c->now_us,
		.actor = c->who.name,
		.action = c->change->action,
		.target = target,
	};

	if (c->object_id)
		snprintf(target, sizeof(target), "%s %" PRId64, c->change->target, c->object_id);
	else
		snprintf(target, sizeof(target), "%s", c->change->target);
	return store_audit_add(tx, &row, r, NULL);
}

/* Asks for the chain's head, with the document that will follow it. */
static int tell(struct call *c, struct db_tx *tx, const struct db_result *r)
{
	bool idle = false;
	json_t *doc = c->change->take(c, r, &idle);
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
	int rc = -ENOMEM;

	if (text)
		rc = idle ? -EALREADY : store_audit_head(tx, text, on_head);
	free(text);
	json_decref(doc);
	return rc;
}

int change_row(void *arg, struct db_tx *tx, const struct db_result *r)
{
	struct call *c = call_of(arg);

	c->verdict = db_rows(r) == 1 ? tell(c, tx, r) : -ENOENT;
	return c->verdict;
}

static void on_end(void *arg, int rc, const struct db_result *r unused_arg,
		   const struct error *err unused_arg)
{
	struct call *c = call_of(arg);

	if (rc >= 0 || c->verdict == -EALREADY)
		c->change->done(c);
	else if (c->verdict == -ENOENT && c->change->none)
		call_fail(c, 409, "%s", c->change->none);
	else if (c->verdict == -ENOENT)
		call_fail(c, 404, "there is no %s '%.64s'", c->change->missing, c->params[0]);
	else
		call_fail_db(c, rc);
}

struct db_tx *change_begin(struct call *c, const struct change_kind *kind)
{
	struct db_tx *tx = NULL;
	int rc = api_db(c->api) ? db_tx_new(c->api->ctx.db, &tx) : -ENOTCONN;

	c->change = kind;
	if (!rc)
		rc = store_audit_begin(tx);
	if (!rc)
		return tx;
	db_tx_free(&tx);
	call_fail_db(c, rc);
	return NULL;
}

void change_commit(struct call *c, struct db_tx *tx, int rc)
{
	if (!rc)
		rc = db_tx_commit(&tx, on_end, c);
	if (rc < 0) {
		db_tx_free(&tx);
		call_fail_db(c, rc);
	}
}

void change_announce(struct call *c, const struct change_kind *kind)
{
	struct db_tx *tx = change_begin(c, kind);

	if (tx)
		change_commit(c, tx, tell(c, tx, NULL));
}
