/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_event.h - reads table 'event', newest first. Ingest writes it (store.h).
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_EVENT_H
#define MEMHERD_COLLECTOR_STORE_STORE_EVENT_H

#include "collector/store/db.h"

/* Where a page ended: the table's whole key, so that equal times are not lost. */
struct event_place {
	int64_t t_us; /* 0 = from the newest */
	int32_t host_id;
	int64_t epoch;
	int64_t seq;
	int16_t idx;
};

struct event_row {
	struct event_place at;
	const char *kind;    /* strings point into the result */
	int64_t proc_id;     /* 0 = none */
	const char *doc;     /* JSON object */
	const char *host;    /* '' when it is gone */
	const char *verdict; /* of an end or a kill, one sentence; '' = none told */
};

struct event_filter {
	int64_t from_us;
	int64_t to_us;
	int32_t host_id;  /* 0 = all */
	const char *kind; /* NULL = all */
	struct event_place after;
	int limit;
};

int store_event_list(struct db *db, const struct event_filter *f, db_done *done,
		     void *arg) must_use;
void store_event_row(const struct db_result *r, size_t i, struct event_row *ret);

#endif
