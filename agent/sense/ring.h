/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.h - the flight ring: what every process's RSS and swap were, at the base interval for an
 * hour and at 1 s for two minutes, in bounded memory, so that after a kill it is known who had
 * grown.
 *
 * Two lanes of rounds, slow and fast. A round holds only what changed against the round before it
 * in its lane: pairs of varint(gap between keys), zigzag(delta in KiB), where a key is slot * 2 +
 * (0 for RSS, 1 for swap). The present values are the base: the past is found by walking back from
 * now and undoing deltas, so the oldest round can go at any time. Nothing else is needed to drop
 * it.
 *
 * A slot is one process (struct ring_who): it outlives the process for linger_us, so that who grew
 * can be named when it is gone. Slots are the ring's own numbers, not the wire's ids. They are
 * reused freely: what a round says about a slot before the birth of who has it now is not believed.
 *
 * Full: the oldest rounds go first, then the longest dead; ring_covered_us() tells how far back it
 * reaches. Times are microseconds since boot: steps of the wall clock do not matter. No I/O.
 */
#ifndef MEMHERD_AGENT_SENSE_RING_H
#define MEMHERD_AGENT_SENSE_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/sense/names.h"
#include "agent/sense/ring_lane.h"
#include "common/check.h"
#include "proto/metric.h"

#define RING_NO_SLOT UINT32_MAX
#define RING_ABSENT  UINT32_MAX /* KiB that are not known, or of a time before the process */
#define RING_SPANS   3u
/* Those who ended not longer ago are told with the living. */
#define RING_RECENT_US (120 * (int64_t)1000000)

enum ring_lane_kind { RING_SLOW, RING_FAST, RING_LANES };

struct ring_config {
	struct ring_lane_config lanes[RING_LANES];
	uint32_t max_slots; /* processes, living and dead */
	uint32_t max_dead;
	int64_t linger_us;
};
/* An hour of 10 s in 1 MiB, two minutes of 1 s in 256 KiB; memory is taken as it is needed. */
extern const struct ring_config ring_defaults;

struct ring_who {
	uint64_t start_ticks;
	int64_t birth_us; /* the round in which it was first seen */
	int64_t exit_us;  /* 0 = lives */
	uint32_t pid;     /* 0 = the slot is free */
	uint32_t uid;
	uint32_t service;   /* in ring.names */
	uint32_t container; /* NAMES_NONE = none */
	uint32_t next;      /* the slot that died after this one, or the next free one */
	bool fresh;         /* started while we watched: before birth_us it had nothing */
	char comm[16];
};

/* What a birth tells; strings are copied (comm to 15 bytes), and given back as they came. */
struct ring_birth {
	uint32_t pid;
	uint64_t start_ticks;
	uint32_t uid;
	bool fresh;
	const char *comm;
	const char *service;
	const char *container;
};

struct ring {
	struct ring_config cfg;
	struct names names;
	struct ring_who *who; /* by slot */
	uint32_t *now;        /* by key */
	uint32_t *slot_of;    /* slot by proctab's id; RING_NO_SLOT */
	uint32_t n_ids;
	uint32_t cap;  /* slots there is memory for */
	uint32_t high; /* slots are below this */
	uint32_t free_head;
	uint32_t dead_head; /* the longest dead */
	uint32_t dead_tail;
	uint32_t n_dead;
	uint32_t n_live;
	struct ring_lane lanes[RING_LANES];
	uint32_t *base[RING_LANES]; /* by key: the value in the lane's last round */
	int64_t t_us;               /* of the round being told */
	unsigned telling;           /* lanes, as bits */
	uint64_t refused;           /* births without a slot: these processes are not in the ring */
	uint64_t forgotten;         /* dead ones that went before linger_us */
};

int ring_init(struct ring *r, const struct ring_config *cfg) must_use;
void ring_fini(struct ring *r);

/* ---- telling it what is ---- */

/* lanes: 1 << RING_SLOW, 1 << RING_FAST or both. t_us must not be before the last round's. */
void ring_round_begin(struct ring *r, int64_t t_us, unsigned lanes);
/* A process took this id of proctab. -ENOMEM, -ENOSPC: it is left out (and counted). */
int ring_birth(struct ring *r, uint32_t id, const struct ring_birth *b) must_use;
/* What it is by now, in any order; who is not mentioned did not change. RING_ABSENT: not known. */
void ring_value(struct ring *r, uint32_t id, uint32_t rss_kib, uint32_t swap_kib);
/* It ended; the id is free for another. */
void ring_exit(struct ring *r, uint32_t id);
void ring_round_end(struct ring *r);

/* ---- asking ---- */

struct ring_grown {
	const struct ring_who *who; /* until the next round begins */
	uint32_t slot;
	uint32_t rss; /* KiB: now, or when it ended */
	uint32_t swap;
	uint32_t rss_then[RING_SPANS]; /* at now - span; RING_ABSENT: not alive, or not known */
	uint32_t swap_then[RING_SPANS];
};

/* How far back a lane reaches: 0 = it knows nothing. */
int64_t ring_covered_us(const struct ring *r, enum ring_lane_kind lane, int64_t now_us);
/*
 * All who live or ended in the last RING_RECENT_US, by slot, each with its values at now - spans[i]
 * (ascending). The fast lane answers what it covers, else the slow one. One walk over each lane.
 * ret is allocated (free() it) and may be empty; -ENOMEM.
 */
int ring_growth(const struct ring *r, int64_t now_us, const int64_t spans_us[RING_SPANS],
		struct ring_grown **ret, size_t *ret_n) must_use;
/* RSS plus swap gained over span i, in KiB: for one that was born within it all that it has;
 * METRIC_ABSENT when not known. */
int64_t ring_gain(const struct ring_grown *g, unsigned i, int64_t now_us, int64_t span_us);

/* The highest RSS that the ring knows of this slot, and when; false for a free slot. */
bool ring_peak(const struct ring *r, uint32_t slot, uint32_t *ret_kib, int64_t *ret_t_us);
struct ring_point {
	int64_t t_us;
	uint32_t rss;
	uint32_t swap;
};
/* Its values in the rounds of a lane, the newest first, up to max; how many. */
size_t ring_series(const struct ring *r, enum ring_lane_kind lane, uint32_t slot,
		   struct ring_point *out, size_t max);
/* The youngest slot of that pid, living or dead, or RING_NO_SLOT. Linear. */
uint32_t ring_find(const struct ring *r, uint32_t pid);
/* The slot of proctab's id, or RING_NO_SLOT. */
uint32_t ring_slot(const struct ring *r, uint32_t id);
/* What it costs, in bytes. */
size_t ring_bytes(const struct ring *r);

#endif
