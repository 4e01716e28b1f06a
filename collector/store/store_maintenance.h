/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_maintenance.h - verbs on table 'maintenance': when nothing is to be done to the fleet or a
 * part of it. What covers a process is judged in the database (mh_maintenance), so that what is
 * asked for and what waits to be sent are judged alike, by every collector.
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_MAINTENANCE_H
#define MEMHERD_COLLECTOR_STORE_STORE_MAINTENANCE_H

#include "collector/store/db.h"
#include "collector/store/store_command.h"

#define MAINTENANCES_MAX        200                          /* to come or under way, at once */
#define MAINTENANCE_MAX_US      (30LL * 24 * 3600 * 1000000) /* how long one lasts */
#define MAINTENANCE_AHEAD_US    (90LL * 24 * 3600 * 1000000) /* how far ahead it begins */
#define MAINTENANCE_REASON_SIZE 201
#define MAINTENANCE_BY_SIZE     64 /* who: AUTH_NAME_SIZE of api/auth.h */

struct maintenance_row {
	int64_t id;
	char host[ACTION_NAME_SIZE];    /* an id, or a glob of names */
	char service[ACTION_NAME_SIZE]; /* a glob; '' = the whole host */
	int64_t starts_us;
	int64_t until_us;
	char reason[MAINTENANCE_REASON_SIZE];
	int64_t created_us;
	char created_by[MAINTENANCE_BY_SIZE];
	int64_t ended_us; /* by hand; 0 = not */
	char ended_by[MAINTENANCE_BY_SIZE];
};

void store_maintenance_row(const struct db_result *r, size_t i, struct maintenance_row *ret);

/* Its row; none where there are MAINTENANCES_MAX. */
int store_maintenance_add(struct db_tx *tx, const struct maintenance_row *row,
			  db_check *check) must_use;
/* By hand: its row; none where it is over, or never was. */
int store_maintenance_end(struct db_tx *tx, int64_t id, int64_t now_us, const char *by,
			  db_check *check) must_use;
/* The newest first; open: only what is to come or under way. before 0 = from the newest. */
int store_maintenance_list(struct db *db, bool open, int64_t now_us, int64_t before, int limit,
			   db_done *done, void *arg) must_use;
/* Id, until, who and reason of what covers the row's process, or of what is done to the whole host
 * any part of it; none. */
int store_maintenance_holds(struct db_tx *tx, const struct action_row *row, const char *service,
			    int64_t now_us, db_check *check) must_use;

#endif
