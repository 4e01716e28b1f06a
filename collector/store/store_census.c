/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_census.h"

int store_census_list(struct db *db, const struct census_filter *f, db_done *done, void *arg)
{
	const struct db_param params[] = {
		DB_P_INT4(f->host_id),
		DB_P_INT8(f->proc_id),
		f->after_us ? DB_P_TIME(f->after_us) : DB_P_NULL,
		DB_P_INT8(f->after_census),
		DB_P_INT4(f->limit),
	};

	return db_query(db, Q_CENSUS_LIST, params, ARRAY_SIZE(params), done, arg);
}

int store_census_get(struct db *db, int64_t census_id, db_done *done, void *arg)
{
	const struct db_param params[] = {DB_P_INT8(census_id)};

	return db_query(db, Q_CENSUS_GET, params, ARRAY_SIZE(params), done, arg);
}

void store_census_row(const struct db_result *r, size_t i, struct census_row *ret)
{
	*ret = (struct census_row){
		.census_id = db_int(r, i, 0),
		.t_us = db_time(r, i, 1),
		.host_id = (int32_t)db_int(r, i, 2),
		.host = db_text(r, i, 3),
		.proc_id = db_int(r, i, 4),
		.pid = (int32_t)db_int(r, i, 5),
		.service = db_text(r, i, 6),
		.comm = db_text(r, i, 7),
		.method = db_text(r, i, 8),
		.reason = db_text(r, i, 9),
		.command_id = db_text(r, i, 10),
		.version = db_int(r, i, 11),
		.interpreters = (int32_t)db_int(r, i, 12),
		.pause_us = db_int(r, i, 13),
		.walk_us = db_int(r, i, 14),
		.objects = db_int(r, i, 15),
		.bytes = db_int(r, i, 16),
		.types_total = (int32_t)db_int(r, i, 17),
		.error_per_10000 = (int32_t)db_int(r, i, 18),
		.parts = db_text(r, i, 19),
		.note = db_text(r, i, 20),
	};
}

const char *store_census_types(const struct db_result *r, size_t i)
{
	return db_text(r, i, 21);
}

int store_census_diff(struct db *db, int64_t census_id, const int64_t *base, int top, db_done *done,
		      void *arg)
{
	const struct db_param params[] = {
		DB_P_INT8(census_id),
		base ? DB_P_INT8(*base) : DB_P_NULL,
		DB_P_INT4(top),
	};

	return db_query(db, Q_CENSUS_DIFF, params, ARRAY_SIZE(params), done, arg);
}

void store_census_diff_row(const struct db_result *r, size_t i, struct census_diff_row *ret)
{
	for (unsigned k = 0; k < 2; k++) {
		bool none = db_is_null(r, i, k);

		ret->id[k] = none ? 0 : db_int(r, i, k);
		ret->t_us[k] = none ? 0 : db_time(r, i, 2 + k);
		ret->proc_id[k] = none ? 0 : db_int(r, i, 4 + k);
		ret->service[k] = db_text(r, i, 6 + k);
		ret->objects[k] = none ? 0 : db_int(r, i, 8 + k);
		ret->bytes[k] = none ? 0 : db_int(r, i, 10 + k);
		ret->parts[k] = db_text(r, i, 12 + k);
	}
	ret->types = db_text(r, i, 14);
}

int store_census_series(struct db *db, const struct census_types_filter *f, db_done *done,
			void *arg)
{
	const struct db_param params[] = {
		DB_P_INT4(f->host_id),  DB_P_INT8(f->proc_id), DB_P_TIME(f->from_us),
		DB_P_TIME(f->to_us),    DB_P_TEXT(f->name),    DB_P_INT4(f->top),
		DB_P_INT4(f->censuses),
	};

	return db_query(db, Q_CENSUS_TYPES, params, ARRAY_SIZE(params), done, arg);
}

int store_census_growth(struct db *db, int64_t from_us, int32_t host_id, const char *service,
			int limit, db_done *done, void *arg)
{
	const struct db_param params[] = {
		DB_P_TIME(from_us),
		DB_P_INT4(host_id),
		DB_P_TEXT(service),
		DB_P_INT4(limit),
	};

	return db_query(db, Q_CENSUS_GROWTH, params, ARRAY_SIZE(params), done, arg);
}

void store_census_growth_row(const struct db_result *r, size_t i, struct census_growth_row *ret)
{
	*ret = (struct census_growth_row){
		.service = db_text(r, i, 0),
		.name = db_text(r, i, 1),
		.hosts = db_int(r, i, 2),
		.processes = db_int(r, i, 3),
		.count = db_int(r, i, 4),
		.bytes = db_int(r, i, 5),
		.bytes_per_hour = db_int(r, i, 6),
	};
}

int store_gc_events(struct db *db, int64_t proc_id, int64_t from_us, int limit, db_done *done,
		    void *arg)
{
	const struct db_param params[] = {
		DB_P_INT8(proc_id),
		DB_P_TIME(from_us),
		DB_P_INT4(limit),
	};

	return db_query(db, Q_GC_EVENTS, params, ARRAY_SIZE(params), done, arg);
}
