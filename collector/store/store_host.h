/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_host.h - reads of hosts' stored processes for REST; what the fleet's connections need is in
 * store_fleet.h.
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_HOST_H
#define MEMHERD_COLLECTOR_STORE_STORE_HOST_H

#include "collector/store/db.h"

/* Strings point into the result. */
struct process_row {
	int32_t host_id;
	const char *host;
	int64_t proc_id;
	int32_t pid;
	int32_t ppid;
	int64_t uid; /* -1 = not known: only its end was told */
	const char *comm;
	const char *cmdline;
	const char *exe;
	const char *cgroup;
	const char *service;
	int64_t first_seen_us;
	int64_t last_seen_us; /* 0 = not seen to end */
	int64_t start_ticks;
	const char *container;
	const char *role;
	int32_t slot;
	/* how it ended; '' = not told */
	const char *cause;
	const char *confidence;
	const char *verdict;
	int32_t exit_code;   /* -1 = not known */
	int32_t exit_signal; /* 0 = none known */
};

/* One row or none, of whichever host has it. */
int store_process_get(struct db *db, int64_t proc_id, db_done *done, void *arg) must_use;
void store_process_row(const struct db_result *r, size_t i, struct process_row *ret);

#endif
