/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.h - the session with the collector: two streams of records up (lane.h), commands down.
 *
 * Records from sense (link_attach) go into their lane's spool and leave it when the collector has
 * said that they are stored. The connection is a state machine (waiting, connecting, greeting,
 * streaming, closing; a table in link.c), each state with a deadline. Whatever goes wrong is logged
 * here, once, and ends in 'waiting'. One owner: process.c, or a test with a loop of its own.
 */
#ifndef MEMHERD_AGENT_LINK_LINK_H
#define MEMHERD_AGENT_LINK_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/link/lane.h"
#include "agent/options.h"
#include "common/error.h"

struct event_base;
struct link;

/* How the supervisor starts a link; epochs are random, positive, never used twice. */
struct link_start {
	uint64_t epochs[LANE_COUNT];
	uint64_t prev_epochs[LANE_COUNT]; /* 0 = none known */
	bool prev_clean;
};

/* o must outlive the link. Begins to connect by itself. */
int link_new(struct event_base *base, const struct agent_options *o, const struct link_start *start,
	     struct link **ret, struct error *err) must_use;
void link_free(struct link **l);
/* A (new) sense speaks on fd, which is taken over; the one before is dropped. */
int link_attach(struct link *l, int fd, struct error *err) must_use;
/* Sends what is left, for at most LINK_FLUSH_SEC, says goodbye and leaves the loop. */
#define LINK_FLUSH_SEC 5
void link_stop(struct link *l);

/* 'waiting', 'connecting', 'greeting', 'streaming', 'closing'. */
const char *link_state_name(const struct link *l);
void link_stats(const struct link *l, enum lane_id id, struct spool_stats *ret);

#endif
