/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_replica.h - a standby of the database that history is read from, while it is there and not
 * far behind. How far is measured by a row that we write into the primary every two seconds and
 * look for over there: without its clock, its settings or any right to look at replication.
 *
 * What was asked there and failed is asked again of the primary, unseen (db_set_fallback()).
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_REPLICA_H
#define MEMHERD_COLLECTOR_STORE_STORE_REPLICA_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/store/store.h"

struct replica_state {
	bool configured;
	bool used;          /* history is read there now */
	const char *reason; /* why not; '' */
	int64_t lag_us;     /* at the last look; -1 = not known */
	uint64_t falls;     /* how often it was given up */
	uint64_t retried;   /* reads that failed there and went to the primary */
};

/* Where lists of what has been are read: the replica, else the primary. */
struct db *store_reader(const struct store *s);
/* The same for chunks: the primary, too, while the replica may lack a window that memory let go of.
 */
struct db *store_reader_of_chunks(const struct store *s);
void store_replica_state(const struct store *s, struct replica_state *ret);

#endif
