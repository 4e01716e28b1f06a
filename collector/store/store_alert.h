/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_alert.h - verbs on table 'alert'. A key (rule and subject) has at most one firing row.
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_ALERT_H
#define MEMHERD_COLLECTOR_STORE_STORE_ALERT_H

#include "collector/store/db.h"

/* Pointers are into the result, or the caller's. Values: NaN = none. Times: 0 = none. */
struct alert_row {
	int64_t alert_id;
	const char *key;
	const char *rule;
	int32_t host_id;  /* 0 = none */
	const char *host; /* its name; read only, '' when the host is gone */
	const char *subject;
	int64_t proc_id; /* 0 = none */
	const char *service;
	const char *level;
	const char *state; /* firing, resolved */
	int64_t opened_us;
	int64_t resolved_us;
	int64_t acked_us;
	const char *acked_by;
	double first_value;
	double peak_value;
	double last_value;
	double resolved_value;
	const char *title;
	const char *doc; /* JSON object */
	bool unmailed;   /* read by store_alert_list() only: no mail of it was ever queued */
};

/* Every verb that writes gives the row as it is then; none when there was nothing to write. A key
 * that fires already keeps its row (and id): opening twice after a crash is harmless. */
int store_alert_open(struct db *db, const struct alert_row *row, db_done *done, void *arg) must_use;
/* level, peak, last value, title and doc of alert_id while it fires. NULL strings keep theirs. */
int store_alert_update(struct db *db, const struct alert_row *row, db_done *done,
		       void *arg) must_use;
/* resolved_us, resolved_value, last value and doc. */
int store_alert_resolve(struct db *db, const struct alert_row *row, db_done *done,
			void *arg) must_use;
/* The first one who acknowledges stands. A step, so that its audit row goes with it. */
int store_alert_ack(struct db_tx *tx, int64_t alert_id, const char *by, int64_t now_us,
		    db_check *check) must_use;

struct alert_filter {
	const char *state; /* NULL = all */
	int32_t host_id;   /* 0 = all */
	int64_t before_id; /* ids below this; 0 = from the newest */
	int limit;
};
/* Newest first. */
int store_alert_list(struct db *db, const struct alert_filter *f, db_done *done,
		     void *arg) must_use;
int store_alert_get(struct db *db, int64_t alert_id, db_done *done, void *arg) must_use;

void store_alert_row(const struct db_result *r, size_t i, struct alert_row *ret);

#endif
