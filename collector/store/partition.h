/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition.h - the leaves of the partitioned tables: made ahead of time, dropped by retention.
 *
 * There is no default partition (it would forbid DETACH CONCURRENTLY), so a row's leaf must exist
 * before the row does. Each table's leaves that are known to exist are remembered here; who writes
 * asks partition_known() first and makes what is missing (partition_make). Pure but for the
 * queries that it queues.
 */
#ifndef MEMHERD_COLLECTOR_STORE_PARTITION_H
#define MEMHERD_COLLECTOR_STORE_PARTITION_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/store/db.h"

struct db_sync;

/* X(NAME, table, span of a leaf) */
#define PARTITION_LIST(X)                          \
	X(INBOX, inbox, HOUR)                      \
	X(CHUNK, chunk, DAY)                       \
	X(HOST_CHUNK, host_chunk, DAY)             \
	X(CHUNK_HELD, chunk_held, MONTH)           \
	X(HOST_CHUNK_HELD, host_chunk_held, MONTH) \
	X(ROLLUP_WINDOW, rollup_window, MONTH)     \
	X(ROLLUP_1H, rollup_1h, MONTH)             \
	X(ROLLUP_1D, rollup_1d, MONTH)             \
	X(EVENT, event, MONTH)                     \
	X(CENSUS, census, MONTH)                   \
	X(SNAPSHOT, snapshot, MONTH)

enum partition_span { PARTITION_HOUR, PARTITION_DAY, PARTITION_MONTH };

enum partition_table {
#define X(NAME, table, span) PARTITION_##NAME,
	PARTITION_LIST(X)
#undef X
		PARTITION_TABLES
};

#define PARTITION_KNOWN_MAX 512 /* leaves of one table; the oldest is forgotten and asked again */
#define PARTITION_AHEAD     3   /* leaves from the present one on */

struct partitions {
	int64_t known[PARTITION_TABLES][PARTITION_KNOWN_MAX]; /* starts */
	size_t n[PARTITION_TABLES];                           /* ever added */
};

const char *partition_name(enum partition_table t);
/* Start of the leaf that holds t_us, and of the one after it (UTC). */
int64_t partition_start(enum partition_table t, int64_t t_us);
int64_t partition_end(enum partition_table t, int64_t t_us);

bool partition_known(const struct partitions *p, enum partition_table t, int64_t t_us);
void partition_remember(struct partitions *p, enum partition_table t, int64_t t_us);
/* Dropped leaves: what the table holds before t_us is no longer known. */
void partition_forget(struct partitions *p, enum partition_table t, int64_t t_us);

/* Adds the step that makes the leaf to a transaction; remember it after the commit. */
int partition_make(struct db_tx *tx, enum partition_table t, int64_t t_us) must_use;
/* All tables' leaves from now on, at start. */
int partition_make_ahead(struct db_sync *s, struct partitions *p, int64_t now_us,
			 struct error *err) must_use;

#endif
