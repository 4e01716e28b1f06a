/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_breaker.h - verbs on table 'breaker': which rule's action stands still because it gave
 * nothing several times in a row. That is judged of the results themselves (mh_bad_results); the
 * row is what people see, and where it was closed by hand.
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_BREAKER_H
#define MEMHERD_COLLECTOR_STORE_STORE_BREAKER_H

#include "collector/store/db.h"
#include "collector/store/store_command.h"

#define BREAKERS_MAX 1000 /* listed at most */

struct breaker_row {
	char actor[COMMAND_ACTOR_SIZE];
	char action[ACTION_WORD_SIZE];
	int64_t opened_us;
	int64_t until_us;
	int64_t results;   /* so many in a row gave nothing */
	int64_t closed_us; /* by hand; 0 = not */
	char closed_by[COMMAND_ACTOR_SIZE];
};

void store_breaker_row(const struct db_result *r, size_t i, struct breaker_row *ret);
/* Is this alert's key one of a breaker's? No key of a rule has a word there. */
bool store_breaker_is_key(const char *key);
/* Opens it, with its alert, when the last 'results' results gave nothing and it was not opened for
 * them yet: its row, or none. */
int store_breaker_trip(struct db_tx *tx, const char *actor, const char *action, int64_t now_us,
		       int64_t results, int64_t open_us, db_check *check) must_use;
/* Actor and action of those that are to be opened. */
int store_breaker_due(struct db *db, int64_t now_us, int64_t results, db_done *done,
		      void *arg) must_use;
/* Resolves the alerts of those that are open no longer: actor and action of each. */
int store_breaker_over(struct db *db, int64_t now_us, db_done *done, void *arg) must_use;
/* The newest first. */
int store_breaker_list(struct db *db, int limit, db_done *done, void *arg) must_use;
/* Its row, or none. */
int store_breaker_close(struct db_tx *tx, const char *actor, const char *action, int64_t now_us,
			const char *by, db_check *check) must_use;

#endif
