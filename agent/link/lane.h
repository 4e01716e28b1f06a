/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane.h - the two streams of a link, in the order of their right of way: what must be told at once
 * (events, kills, postures), and samples (ticks). Each has numbers, an epoch and a spool of its
 * own, so that samples neither delay nor displace a kill; docs/adr/0005 says why. Beside them the
 * streams that former starts left on the disk (docs/adr/0014): they are drained before the samples
 * of now, and end. Pure, as the spools are. One owner (link.c).
 */
#ifndef MEMHERD_AGENT_LINK_LANE_H
#define MEMHERD_AGENT_LINK_LANE_H

#include "agent/link/spool.h"

enum lane_id { LANE_URGENT, LANE_SAMPLES, LANE_COUNT };

#define LANES_OLD_MAX 30 /* Hello is bounded: those of 15 starts */
#define LANES_MAX     (LANE_COUNT + LANES_OLD_MAX)

struct spool_stream; /* spooldir.h */

struct lane {
	uint64_t epoch;
	enum lane_id kind;
	struct spool *spool;
	struct spool_stream *disk; /* NULL = in memory alone */
};

struct lanes {
	struct lane of[LANES_MAX]; /* the live ones by their lane_id, then the old */
	size_t n;
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
/* One more, of a former start; it takes over spool. -ENOSPC when there are too many. */
int lanes_add_old(struct lanes *ls, uint64_t epoch, enum lane_id kind, struct spool *spool,
		  struct spool_stream *disk) must_use;
/* Frees an old one; those behind it move up, so not while batches of any are under way. */
void lanes_remove_old(struct lanes *ls, size_t i);
/* All of it is stored. */
bool lane_drained(const struct lane *l);
/* The first in right of way that has something unsent, LANES_MAX when none has. */
size_t lanes_next(const struct lanes *ls);
/* Everything was acked. */
bool lanes_drained(const struct lanes *ls);
/* What Hello tells of them. */
void lanes_epochs(const struct lanes *ls, struct wire_epoch ret[LANES_MAX]);
/* The figures of all together. */
void lanes_sum(const struct lanes *ls, struct spool_stats *ret);

#endif
