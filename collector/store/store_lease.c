/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_lease.h"

#include <string.h>

int store_lease_turn(struct db *db, const struct lease_self *self, int64_t lease_us,
		     int64_t oldest_us, int64_t fence, db_done *done, void *arg)
{
	const struct db_param params[] = {
		DB_P_INT2(self->writer), DB_P_UUID(self->boot),
		DB_P_INT8(lease_us),     oldest_us == INT64_MAX ? DB_P_NULL : DB_P_TIME(oldest_us),
		DB_P_INT8(fence),
	};

	return db_query(db, Q_LEASE_TURN, params, ARRAY_SIZE(params), done, arg);
}

void store_lease_read(const struct db_result *r, struct lease_turn *ret)
{
	*ret = (struct lease_turn){
		.alive = db_int(r, 0, 0),
		.fence = db_int(r, 0, 1),
		.others = db_int(r, 0, 2),
		.keep_from_us = db_is_null(r, 0, 3) ? INT64_MAX : db_time(r, 0, 3),
	};
}

int store_lease_release(struct db *db, int writer, int64_t fence, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_INT2(writer), DB_P_INT8(fence)};

	return db_query(db, Q_LEASE_RELEASE, params, ARRAY_SIZE(params), done, arg);
}

int store_fleet_holders(struct db *db, int64_t dead_us, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_INT8(dead_us)};

	return db_query(db, Q_FLEET_HOLDERS, params, ARRAY_SIZE(params), done, arg);
}

void store_fleet_holder(const struct db_result *r, size_t i, struct fleet_holder *ret)
{
	size_t len;
	const uint8_t *uuid = db_bytes(r, i, 1, &len);

	*ret = (struct fleet_holder){
		.host_id = (int32_t)db_int(r, i, 0),
		.name = db_text(r, i, 2),
		.holder = (int)db_int(r, i, 3),
		.holder_name = db_text(r, i, 4),
		.last_seen_us = db_is_null(r, i, 5) ? 0 : db_time(r, i, 5),
		.act = db_int(r, i, 6),
	};
	if (uuid && len == sizeof(ret->uuid))
		memcpy(ret->uuid, uuid, len);
}

int store_fleet_hold(struct db *db, int32_t host_id, int writer, bool held)
{
	const struct db_param params[] = {DB_P_INT4(host_id), DB_P_INT2(writer), DB_P_BOOL(held)};

	return db_query(db, Q_FLEET_HOLD, params, ARRAY_SIZE(params), NULL, NULL);
}
