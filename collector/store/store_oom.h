/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_oom.h - reads table 'oom_kill', newest first, and one kill with what happened around it.
 * Ingest writes it (store.h).
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_OOM_H
#define MEMHERD_COLLECTOR_STORE_STORE_OOM_H

#include "collector/store/db.h"

/* Strings point into the result. */
struct oom_row {
	int64_t kill_id;
	int64_t t_us;
	int32_t host_id;
	const char *host; /* '' when it is gone */
	const char *cause;
	const char *confidence;
	bool oom;
	bool complete;
	bool replayed;
	int64_t proc_id; /* of the victim; 0 = not known, as the pid */
	int32_t pid;
	const char *comm;
	const char *service;
	const char *container;
	int64_t rss_bytes; /* -1 = not known */
	const char *limit_cgroup;
	const char *limit_owner;
	int64_t limit_bytes; /* -1 = not known */
	const char *verdict;
	const char *grower; /* who had grown most before it: its service, else its name; '' */
};

/* JSON, of store_oom_get() only. */
struct oom_around {
	const char *doc;     /* the dossier */
	const char *process; /* the victim as it was stored, or null */
	const char *actions; /* array */
	const char *service; /* counts and events */
	const char *alerts;  /* array */
};

struct oom_filter {
	int64_t from_us;
	int64_t to_us;
	int32_t host_id;     /* 0 = all */
	const char *service; /* NULL = all */
	const char *cause;   /* NULL = all */
	/* where the page before ended; 0 = from the newest */
	int64_t after_us;
	int32_t after_host;
	int64_t after_kill;
	int limit;
};

int store_oom_list(struct db *db, const struct oom_filter *f, db_done *done, void *arg) must_use;
/* One row or none, of whichever host has it. */
int store_oom_get(struct db *db, int64_t kill_id, db_done *done, void *arg) must_use;
void store_oom_row(const struct db_result *r, size_t i, struct oom_row *ret);
void store_oom_around(const struct db_result *r, size_t i, struct oom_around *ret);

#endif
