/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent.h - an agent of the synthetic fleet (fleet.h): the Batches that a host's 40 processes
 * become.
 */
#ifndef MEMHERD_TESTS_BENCH_LIB_AGENT_H
#define MEMHERD_TESTS_BENCH_LIB_AGENT_H

#include "common/buf.h"
#include "proto/delta.h"
#include "tests/bench/lib/fleet.h"

struct fleet_agent {
	unsigned host;
	uint64_t epoch;
	struct fleet_process fleet[FLEET_PROCESSES];
	struct delta_state state;
	int64_t conn; /* the caller's */
	int64_t seq;  /* of the last record */
};

void fleet_agent_init(struct fleet_agent *a, unsigned host, uint64_t epoch);
void fleet_agent_fini(struct fleet_agent *a);
/* Appends a Batch of the next round. */
void fleet_agent_round(struct fleet_agent *a, int64_t t_us, bool keyframe, struct buf *batch);

#endif
