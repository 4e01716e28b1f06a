/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_fleet.h"

#include <string.h>

int store_fleet_load(struct db *db, db_done *done, void *arg)
{
	return db_query(db, Q_FLEET_HOST_LOAD, NULL, 0, done, arg);
}

void store_fleet_host(const struct db_result *r, size_t i, struct fleet_host *ret)
{
	size_t len;
	const uint8_t *uuid = db_bytes(r, i, 1, &len);

	*ret = (struct fleet_host){.host_id = (int32_t)db_int(r, i, 0), .name = db_text(r, i, 2)};
	if (uuid && len == sizeof(ret->uuid))
		memcpy(ret->uuid, uuid, len);
}

int store_fleet_postures(struct db *db, db_done *done, void *arg)
{
	return db_query(db, Q_FLEET_POSTURE_LOAD, NULL, 0, done, arg);
}

void store_fleet_posture(const struct db_result *r, size_t i, struct fleet_posture *ret)
{
	*ret = (struct fleet_posture){.host_id = (int32_t)db_int(r, i, 0),
				      .t_us = db_time(r, i, 1),
				      .findings = db_text(r, i, 2)};
}

int store_fleet_kills(struct db *db, int per_host, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_INT4(per_host)};

	return db_query(db, Q_FLEET_KILL_LOAD, params, ARRAY_SIZE(params), done, arg);
}

void store_fleet_kill(const struct db_result *r, size_t i, struct fleet_kill *ret)
{
	*ret = (struct fleet_kill){.host_id = (int32_t)db_int(r, i, 0), .kill_id = db_int(r, i, 1)};
}

int store_fleet_hello(struct db *db, int32_t host_id, const char *name, const char *info)
{
	const struct db_param params[] = {DB_P_INT4(host_id), DB_P_TEXT(name), DB_P_JSON(info)};

	return db_query(db, Q_FLEET_HOST_HELLO, params, ARRAY_SIZE(params), NULL, NULL);
}

int store_fleet_stream_ended(struct db *db, int32_t host_id, int64_t epoch)
{
	const struct db_param params[] = {DB_P_INT4(host_id), DB_P_INT8(epoch)};

	return db_query(db, Q_FLEET_STREAM_ENDED, params, ARRAY_SIZE(params), NULL, NULL);
}
