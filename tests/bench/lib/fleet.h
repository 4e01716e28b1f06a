/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fleet.h - the synthetic fleet of the storage benchmarks: the same seed gives the same samples in
 * every program, so that all stores are fed alike.
 *
 * Of the processes of a host 55 % idle, 25 % are daemons, 15 % busy Python, 5 % leaking Python. A
 * sample has the first 18 metrics (rss .. uncollectable, in KiB, ms and counts), all present: the
 * five of Python's collector are 0 where there is no Python; what came later is absent. RSS moves
 * by pages, CPU time by ticks of 10 ms, PSS and USS are measured in each sixth sample and estimated
 * from RSS between, as the agent does. Rounds are 10 s apart with up to 40 ms of jitter.
 */
#ifndef MEMHERD_TESTS_BENCH_LIB_FLEET_H
#define MEMHERD_TESTS_BENCH_LIB_FLEET_H

#include <stdint.h>

#include "proto/metric.h"

#define FLEET_METRICS   18
#define FLEET_PROCESSES 40 /* of a host */
#define FLEET_STEP_US   10000000LL
#define FLEET_ROUNDS    180 /* in a window of 30 minutes */

enum fleet_kind { FLEET_IDLE, FLEET_DAEMON, FLEET_BUSY, FLEET_LEAK };

struct fleet_process {
	uint64_t seed;
	int64_t v[METRIC_COUNT];
	int64_t measured_rss, measured_pss, measured_uss;
	int64_t shared; /* of its resident files: with others */
	uint32_t rounds;
	uint32_t leak; /* of 1000 rounds, those in which it grows */
	enum fleet_kind kind;
};

/* Process 'number' (from 0) of a host as it is when day 'day' begins. */
void fleet_start(struct fleet_process *p, unsigned host, unsigned number, unsigned day);
/* Its next sample: p->v. */
void fleet_step(struct fleet_process *p);
/* The time of a round of a host that is meant for t_us. */
int64_t fleet_jitter(unsigned host, int64_t t_us);
/* Its id in the store. */
int64_t fleet_proc_id(unsigned host, unsigned number);

#endif
