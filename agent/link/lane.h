/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane.h - the two streams of a link, in the order of their right of way: what must be told at once
 * (events, kills, postures), and samples (ticks). Each has numbers, an epoch and a spool of its
 * own, so that samples neither delay nor displace a kill; docs/adr/0005 says why. Pure, as the
 * spools are. One owner (link.c).
 */
#ifndef MEMHERD_AGENT_LINK_LANE_H
#define MEMHERD_AGENT_LINK_LANE_H

#include "agent/link/spool.h"

enum lane_id { LANE_URGENT, LANE_SAMPLES, LANE_COUNT };

struct lane {
	uint64_t epoch;
	struct spool *spool;
};

struct lanes {
	struct lane of[LANE_COUNT];
};

/* 'urgent', 'samples'. */
const char *lane_name(enum lane_id id);
enum lane_id lane_of_kind(enum wire_record kind);
/* Bytes of the urgent spool beside one of sample_bytes. */
size_t lane_urgent_bytes(size_t sample_bytes);

/* -ENOMEM; lanes_fini() is due either way. */
int lanes_init(struct lanes *ls, const uint64_t epochs[LANE_COUNT], size_t sample_bytes) must_use;
void lanes_fini(struct lanes *ls);
/* The lane of that epoch, NULL when it is not ours. */
struct lane *lanes_find(struct lanes *ls, uint64_t epoch);
/* The first in right of way that has something unsent, LANE_COUNT when none has. */
enum lane_id lanes_next(const struct lanes *ls);
/* Everything was acked. */
bool lanes_drained(const struct lanes *ls);
/* What Hello tells of them. */
void lanes_epochs(const struct lanes *ls, struct wire_epoch ret[LANE_COUNT]);
/* The figures of both together. */
void lanes_sum(const struct lanes *ls, struct spool_stats *ret);

#endif
