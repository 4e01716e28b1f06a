/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_snapshot.h - reads table 'snapshot'. Ingest writes it (store.h).
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_SNAPSHOT_H
#define MEMHERD_COLLECTOR_STORE_STORE_SNAPSHOT_H

#include "collector/store/db.h"

/* Strings point into the result. */
struct snapshot_head {
	int64_t snapshot_id;
	int64_t t_us;
	int32_t host_id;
	const char *host; /* '' when it is gone */
	int64_t proc_id;
	int32_t pid;
	const char *service; /* '' when it is not known, as comm */
	const char *comm;
	const char *kind;
	const char *reason;
	const char *command_id; /* '' = no command asked for it */
	const char *subject;    /* '' = the whole process */
	const char *totals;     /* JSON: an object */
	const char *note;
};

struct snapshot_filter {
	int32_t host_id; /* 0: any, as proc_id */
	int64_t proc_id;
	const char *kind;       /* NULL: any, as command_id */
	const char *command_id; /* a uuid as text */
	/* where the page before ended; 0 = from the newest */
	int64_t after_us;
	int64_t after_snapshot;
	int limit;
};

int store_snapshot_list(struct db *db, const struct snapshot_filter *f, db_done *done,
			void *arg) must_use;
/* One row or none. */
int store_snapshot_get(struct db *db, int64_t id, db_done *done, void *arg) must_use;
/* It, and the one to compare it with: base, or for 0 the one before of the same process, kind and
 * subject. None, one or two rows. */
int store_snapshot_pair(struct db *db, int64_t id, int64_t base, db_done *done, void *arg) must_use;
void store_snapshot_head(const struct db_result *r, size_t i, struct snapshot_head *ret);
/* Of the latter two: JSON, an array of objects. */
const char *store_snapshot_rows(const struct db_result *r, size_t i);

#endif
