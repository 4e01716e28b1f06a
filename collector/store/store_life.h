/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_life.h - reads how the processes of a service lived: what their rollups say of each window
 * of theirs that is sealed.
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_LIFE_H
#define MEMHERD_COLLECTOR_STORE_STORE_LIFE_H

#include "collector/store/db.h"

struct store;

/* One window of one process. */
struct life_row {
	int64_t proc_id;
	const char *role; /* '' = none; into the result */
	int32_t slot;
	int64_t from_us; /* of the window, or of the process where it began later */
	int64_t to_us;
	int64_t rss_first; /* KiB; -1 = not known, as the two below */
	int64_t rss_last;
	int64_t cpu_ms; /* used in it */
};

/* Ordered by process, oldest first, then by time. */
int store_lives(struct store *s, int32_t host_id, const char *service, int64_t from_us,
		int processes, db_done *done, void *arg) must_use;
void store_life_row(const struct db_result *r, size_t i, struct life_row *ret);

#endif
