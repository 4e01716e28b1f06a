/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_journal.h - verbs on table 'host_journal': what the hosts' journals of actions were told to
 * say, run by run, and whether that fits together.
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_JOURNAL_H
#define MEMHERD_COLLECTOR_STORE_STORE_JOURNAL_H

#include "collector/store/db.h"
#include "proto/command.h"

/*
 * Takes one run (records above zero); the caller has the audit table's lock. note is added to the
 * action's detail, '' = nothing. One row: why text ('' it fits, NULL it was known), whether the
 * action is one of ours bool, the host's name text.
 */
int store_journal_told(struct db_tx *tx, int32_t host_id, const uint8_t cmd_id[16],
		       const struct command_span *run, const char *note, int64_t now_us,
		       db_check *check) must_use;

struct journal_row {
	int32_t host_id;
	const char *host; /* '' when it is gone; strings point into the result */
	int64_t last;     /* number of the last record that was told */
	uint8_t head[COMMAND_LINK_SIZE];
	int64_t untold;  /* records below that which nothing told of */
	int32_t breaks;  /* how often it did not fit */
	const char *why; /* the last time; '' = it always did */
	int64_t told_us;
};
/* A row a host, what does not fit first. */
int store_journal_state(struct db *db, int limit, db_done *done, void *arg) must_use;
void store_journal_row(const struct db_result *r, size_t i, struct journal_row *ret);

/* Is that the key of an alert that a journal was changed? */
bool store_journal_is_key(const char *key);

#endif
