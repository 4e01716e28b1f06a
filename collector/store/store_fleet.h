/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_fleet.h - verbs on hosts as the fleet's connections need them; what REST lists is in
 * store_host.h.
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_FLEET_H
#define MEMHERD_COLLECTOR_STORE_STORE_FLEET_H

#include "collector/store/db.h"

struct fleet_host {
	int32_t host_id;
	uint8_t uuid[16];
	const char *name; /* into the result */
};

/* All hosts that are not revoked: store_fleet_host reads the rows. */
int store_fleet_load(struct db *db, db_done *done, void *arg) must_use;
void store_fleet_host(const struct db_result *r, size_t i, struct fleet_host *ret);
struct fleet_posture {
	int32_t host_id;
	int64_t t_us;
	const char *findings; /* JSON array; into the result */
};
/* Each host's newest. */
int store_fleet_postures(struct db *db, db_done *done, void *arg) must_use;
void store_fleet_posture(const struct db_result *r, size_t i, struct fleet_posture *ret);

struct fleet_kill {
	int32_t host_id;
	int64_t kill_id;
};
/* Each host's newest, at most so many, oldest first. */
int store_fleet_kills(struct db *db, int per_host, db_done *done, void *arg) must_use;
void store_fleet_kill(const struct db_result *r, size_t i, struct fleet_kill *ret);

/* The host greeted us; info is a JSON object. Nobody waits for it. */
int store_fleet_hello(struct db *db, int32_t host_id, const char *name, const char *info) must_use;
/* The stream before a host's live one ended without being drained. */
int store_fleet_stream_ended(struct db *db, int32_t host_id, int64_t epoch) must_use;

#endif
