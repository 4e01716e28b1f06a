/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change.h - what REST changes by itself: a statement and the audit row that tells of it, in one
 * transaction, so that neither is ever there without the other. Actions are not among them:
 * command/dispatch writes and audits those.
 *
 * change_begin, then at most one store verb with change_row as its check, then change_commit.
 */
#ifndef MEMHERD_COLLECTOR_API_CHANGE_H
#define MEMHERD_COLLECTOR_API_CHANGE_H

#include <jansson.h>

#include "collector/store/db.h"

struct call;

struct change_kind {
	const char *action; /* of the audit row: 'token.create' */
	const char *target; /* of the audit row, before the id: 'token' */
	/*
	 * Inside the transaction: takes the statement's row (r is NULL without a statement), keeps
	 * in c->out the answer that may be sent once it is committed, sets c->object_id to the id,
	 * and gives the audit row's document; NULL when out of memory. *ret_idle true: the row is
	 * as it was before, so there is nothing to tell of.
	 */
	json_t *(*take)(struct call *c, const struct db_result *r, bool *ret_idle);
	/* After the commit; ends the call. */
	void (*done)(struct call *c);
	const char *missing; /* what there is none of when the statement gave no row: 'alert' */
	const char *none;    /* a sentence, where a statement without a row is a conflict instead */
};

/* NULL: the call has been ended. */
struct db_tx *change_begin(struct call *c, const struct change_kind *kind) must_use;
/* The statement's check. */
int change_row(void *arg, struct db_tx *tx, const struct db_result *r);
/* rc is the verb's. Takes over tx and ends the call, now or later. */
void change_commit(struct call *c, struct db_tx *tx, int rc);
/* A change of memory alone, told of all the same: its audit row comes first. */
void change_announce(struct call *c, const struct change_kind *kind);

#endif
