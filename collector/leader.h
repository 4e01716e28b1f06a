/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leader.h - which of the collectors on a database leads: judges the fleet by the rules, mails, has
 * things done and cleans up. One lease row; its fence number rises whenever it changes hands, and
 * what a leader writes carries it (db_set_fence), so that one that was stopped and wakes up is
 * refused.
 *
 *   following --lease taken--> leading --renewed at a third of the lease--> leading
 *       ^                         |
 *       '--ran out by our clock, or another's--'
 *
 * The lease is ours until lease_us after we *sent* the statement that took it: by then the database
 * cannot have given it to another. While the database is away nobody can take it, and a collector
 * that saw no other one leads on, so that a single one mails although its database is down.
 */
#ifndef MEMHERD_COLLECTOR_LEADER_H
#define MEMHERD_COLLECTOR_LEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct event_base;
struct leader;
struct store;

struct leader_ops {
	/* Called when it changes, and once with what the first turn said. fence 0 = we follow. */
	void (*changed)(void *arg, int64_t fence);
	/* Another process with our uuid has started: we must end. */
	void (*replaced)(void *arg);
};

/* The state alone, without database or loop: what the unit tests drive. */
struct leader_state {
	int64_t lease_us;
	int64_t fence;    /* held last, 0 = none ever */
	int64_t until_us; /* boot clock: ours till then */
	bool leads;
	bool alone; /* no other collector was seen at the last turn */
};

/* The answer to a turn that was sent at sent_us: fence 0 = another leads. */
void leader_heard(struct leader_state *s, int64_t sent_us, int64_t fence, bool others);
/* Time has passed. */
void leader_look(struct leader_state *s, int64_t now_us);
/* Whether we lead at this moment. */
bool leader_is(const struct leader_state *s, int64_t now_us);
/* When to take the next turn after one at now. */
int64_t leader_next_us(const struct leader_state *s);

int leader_new(struct event_base *base, struct store *store, int64_t lease_us,
	       const struct leader_ops *ops, void *arg, struct leader **ret) must_use;
void leader_free(struct leader **l);
/* At this very moment, by our clock: to be asked before what cannot be undone. */
bool leader_leads(const struct leader *l);
/* Its number, 0 while we follow. */
int64_t leader_fence(const struct leader *l);
/* A clean stop: another may take over at once. Needs the loop for a moment. */
void leader_release(struct leader *l);

#endif
