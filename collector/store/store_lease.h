/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_lease.h - the lease row, by the database's clock, and which collector holds which host.
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_LEASE_H
#define MEMHERD_COLLECTOR_STORE_STORE_LEASE_H

#include "collector/store/db.h"

struct lease_self {
	int writer;          /* store_writer() */
	const uint8_t *boot; /* 16 bytes */
};

struct lease_turn {
	bool alive;           /* false: another process with our uuid has started */
	int64_t fence;        /* ours; 0 = another collector leads */
	bool others;          /* another collector was seen lately */
	int64_t keep_from_us; /* receive time of the oldest batch that others have not sealed */
};

/* A sign of life; keeps, takes or takes over the lease for lease_us. oldest_us INT64_MAX = none.
 * fence: the number held last, 0 = none. */
int store_lease_turn(struct db *db, const struct lease_self *self, int64_t lease_us,
		     int64_t oldest_us, int64_t fence, db_done *done, void *arg) must_use;
void store_lease_read(const struct db_result *r, struct lease_turn *ret);
int store_lease_release(struct db *db, int writer, int64_t fence, db_done *done,
			void *arg) must_use;

struct fleet_holder {
	int32_t host_id;
	uint8_t uuid[16];
	const char *name;
	int holder;              /* -1 = no collector that lives */
	const char *holder_name; /* '' */
	int64_t last_seen_us;    /* 0 = never */
	bool act;
};
/* All hosts; a collector that gave no sign for dead_us holds none. */
int store_fleet_holders(struct db *db, int64_t dead_us, db_done *done, void *arg) must_use;
void store_fleet_holder(const struct db_result *r, size_t i, struct fleet_holder *ret);
/* Our agent came or went. Nobody waits for it. */
int store_fleet_hold(struct db *db, int32_t host_id, int writer, bool held) must_use;

#endif
