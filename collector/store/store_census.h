/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_census.h - reads tables 'census' and 'census_type', and what was told of collectors. Ingest
 * writes them (store.h). What is asked of a process is asked of its host where that is known:
 * without it (0) each host is looked at.
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_CENSUS_H
#define MEMHERD_COLLECTOR_STORE_STORE_CENSUS_H

#include "collector/store/db.h"

/* Strings point into the result. */
struct census_row {
	int64_t census_id;
	int64_t t_us;
	int32_t host_id;
	const char *host; /* '' when it is gone */
	int64_t proc_id;
	int32_t pid;
	const char *service; /* '' when it is not known, as comm */
	const char *comm;
	const char *method;
	const char *reason;
	const char *command_id; /* '' = no command asked for it */
	int64_t version;
	int32_t interpreters;
	int64_t pause_us;
	int64_t walk_us;
	int64_t objects;
	int64_t bytes;
	int32_t types_total;
	int32_t error_per_10000;
	const char *parts; /* JSON */
	const char *note;
};

struct census_filter {
	int32_t host_id;
	int64_t proc_id;
	/* where the page before ended; 0 = from the newest */
	int64_t after_us;
	int64_t after_census;
	int limit;
};

int store_census_list(struct db *db, const struct census_filter *f, db_done *done,
		      void *arg) must_use;
/* One row or none. */
int store_census_get(struct db *db, int64_t census_id, db_done *done, void *arg) must_use;
void store_census_row(const struct db_result *r, size_t i, struct census_row *ret);
/* Of store_census_get() only: JSON, an array of {name, count, bytes}. */
const char *store_census_types(const struct db_result *r, size_t i);

struct census_diff_row {
	int64_t id[2]; /* the census and its base; the base's is 0 when there is none */
	int64_t t_us[2];
	int64_t proc_id[2];
	const char *service[2];
	int64_t objects[2];
	int64_t bytes[2];
	const char *parts[2]; /* JSON */
	const char *types;    /* JSON: the largest growth first */
};

/* base: NULL = the one before it of its process. One row or none. */
int store_census_diff(struct db *db, int64_t census_id, const int64_t *base, int top, db_done *done,
		      void *arg) must_use;
void store_census_diff_row(const struct db_result *r, size_t i, struct census_diff_row *ret);

struct census_types_filter {
	int32_t host_id;
	int64_t proc_id;
	int64_t from_us;
	int64_t to_us;
	const char *name; /* NULL: the top ones */
	int top;
	int censuses; /* the newest so many */
};
/* One row of three texts, JSON: times in seconds, total bytes, types with counts and bytes. */
int store_census_series(struct db *db, const struct census_types_filter *f, db_done *done,
			void *arg) must_use;

struct census_growth_row {
	const char *service;
	const char *name;
	int64_t hosts;
	int64_t processes;
	int64_t count; /* of all of them together, from first to last census */
	int64_t bytes;
	int64_t bytes_per_hour;
};
int store_census_growth(struct db *db, int64_t from_us, int32_t host_id, const char *service,
			int limit, db_done *done, void *arg) must_use;
void store_census_growth_row(const struct db_result *r, size_t i, struct census_growth_row *ret);

/* Rows of time and JSON, newest first. */
int store_gc_events(struct db *db, int64_t proc_id, int64_t from_us, int limit, db_done *done,
		    void *arg) must_use;

#endif
