/* SPDX-License-Identifier: Apache-2.0 */
/*
 * census_worker.h - the part of a census that looks at the process: runs in the disposable worker,
 * frees nothing and ends with it.
 */
#ifndef MEMHERD_AGENT_ACT_CENSUS_WORKER_H
#define MEMHERD_AGENT_ACT_CENSUS_WORKER_H

#include "agent/act/census.h"
#include "agent/act/inject/snapshot.h"

/* What the worker and its parent both see. */
struct census_shared {
	struct snapshot_trace trace;
	uint8_t body[CENSUS_BODY_MAX];
};

struct census_job {
	const struct process *process;
	const struct census_order_by *order;
	int64_t rss;
	uint64_t since_ticks; /* of the system clock: before the job began */
	struct census_shared *shared;
};

/* worker_fn's: arg is a struct census_job, result a struct census_report. */
int census_work(const void *arg, void *result, struct error *err) must_use;
/* After a worker that was killed: takes away what is left of its copy. The result is none. */
int census_clean_up(const void *arg, void *result, struct error *err) must_use;

#endif
