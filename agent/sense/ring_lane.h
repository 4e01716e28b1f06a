/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_lane.h - the bytes of one lane of the flight ring (ring.h): rounds of changes in a ring that
 * grows to its maximum and then drops the oldest. Knows keys and deltas, not processes.
 *
 * A round is pairs of varint(key - key before it - 1; the first: key) and zigzag(delta).
 */
#ifndef MEMHERD_AGENT_SENSE_RING_LANE_H
#define MEMHERD_AGENT_SENSE_RING_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"

struct ring_lane_config {
	uint32_t max_bytes;  /* of rounds */
	uint32_t max_rounds; /* kept */
};

struct ring_round {
	int64_t t_us;
	uint32_t len;
};

struct ring_lane {
	struct ring_lane_config cfg;
	uint8_t *bytes;
	uint32_t cap;
	uint32_t head; /* where the next byte goes, below cap */
	uint32_t len;
	struct ring_round *rounds; /* a ring of max_rounds */
	uint32_t first;
	uint32_t count;
	uint32_t open;     /* bytes of the round being written */
	uint32_t next_key; /* the least key that may come */
	bool overflow;     /* the open round does not fit */
	int64_t begin_us; /* the state at this time can be had, and at all later rounds; 0 = none */
	int64_t last_us;
	uint64_t evicted; /* rounds that went for want of bytes */
	uint64_t lost;    /* rounds larger than the lane: what is known began anew */
};

int ring_lane_init(struct ring_lane *l, const struct ring_lane_config *cfg) must_use;
void ring_lane_fini(struct ring_lane *l);

void ring_lane_begin(struct ring_lane *l);
/* Keys ascend within a round. */
void ring_lane_put(struct ring_lane *l, uint32_t key, int64_t delta);
void ring_lane_end(struct ring_lane *l, int64_t t_us);

/* From the newest round back; the lane must not change meanwhile. */
struct ring_walk {
	const struct ring_lane *lane;
	uint32_t left;     /* older rounds */
	uint32_t start;    /* where this round begins, which is where the older one ends */
	uint32_t at;       /* of the next byte */
	uint32_t remain;   /* bytes of this round */
	uint32_t key;      /* the least key that may come */
	int64_t t_us;      /* of this round */
	int64_t before_us; /* the time whose state is had when this round is undone */
};

void ring_walk_begin(struct ring_walk *w, const struct ring_lane *l);
/* Steps to the next older round, if that is later than t_us. */
bool ring_walk_back(struct ring_walk *w, int64_t t_us);
/* The next change of this round. */
bool ring_walk_change(struct ring_walk *w, uint32_t *ret_key, int64_t *ret_delta);

size_t ring_lane_memory(const struct ring_lane *l);

#endif
