/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore.h - at start, before anything is read back from the inbox: what the registry knows of its
 * hosts beyond samples, which may be older than the inbox reaches. Their postures, and which kills
 * were told, so that none is told twice.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_RESTORE_H
#define MEMHERD_COLLECTOR_FLEET_RESTORE_H

#include "collector/fleet/registry.h"
#include "collector/store/db.h"

struct restore;

typedef void restore_done(void *arg, int rc, const struct error *err);
/* Of the hosts that r has. done is called once if 0 was returned. */
int restore_new(struct registry *r, struct db *db, restore_done *done, void *arg,
		struct restore **ret) must_use;
/* After its end, or once the database, whose callbacks hold it, is gone. */
void restore_free(struct restore **r);

#endif
