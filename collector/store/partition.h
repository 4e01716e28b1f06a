/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition.h - the leaves of the partitioned tables: made ahead of time, dropped by retention.
 *
 * There is no default partition (it would forbid DETACH CONCURRENTLY), so every row's leaf must
 * exist before the row does: partition_need() says whether it is known to.
 */
#ifndef MEMHERD_COLLECTOR_STORE_PARTITION_H
#define MEMHERD_COLLECTOR_STORE_PARTITION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct db;
struct db_sync;

/* X(NAME, table, span of a leaf) */
#define PARTITION_LIST(X)              \
	X(INBOX, inbox, HOUR)          \
	X(CHUNK, chunk, DAY)           \
	X(HOST_CHUNK, host_chunk, DAY) \
	X(ROLLUP_1H, rollup_1h, MONTH) \
	X(EVENT, event, MONTH)

enum partition_span { PARTITION_HOUR, PARTITION_DAY, PARTITION_MONTH };

enum partition_table {
#define X(NAME, table, span) PARTITION_##NAME,
	PARTITION_LIST(X)
#undef X
		PARTITION_TABLES
};

extern const char *const partition_names[PARTITION_TABLES];

/* Start of the leaf that holds t, and of the one after it (UTC). */
int64_t partition_start(enum partition_span span, int64_t t_us);
int64_t partition_next(enum partition_span span, int64_t t_us);
enum partition_span partition_span_of(enum partition_table t);

#endif
