/* SPDX-License-Identifier: Apache-2.0 */
/*
 * killwatch.h - the OOM desk (oom/) in its place: what it needs of the round, and where its kills
 * and events go: to link at once and into the black box. Reads the journal while a killer in user
 * space runs on this host, and while an end waits that systemd may explain.
 *
 * Made after the ticker; its timers are the owner's (killwatch_beat each second, the calls around
 * each round).
 */
#ifndef MEMHERD_AGENT_SENSE_KILLWATCH_H
#define MEMHERD_AGENT_SENSE_KILLWATCH_H

#include "agent/fds.h"
#include "agent/record.h"
#include "agent/sense/keeper.h"
#include "agent/sense/oom/journal_watch.h"
#include "agent/sense/oom/oom.h"
#include "agent/sense/outlook.h"
#include "agent/sense/sender.h"
#include "agent/sense/tick.h"

struct killwatch_config {
	struct event_base *base;
	const struct sense_fds *fds;
	struct ticker *ticker;
	struct sender *sender;
	struct keeper *keeper;
	const char *state_dir; /* NULL: the position in the kernel's log is not kept */
	/* Something is in the outbox that must not wait for the next tick. */
	void (*urgent)(void *arg);
	/* Memory ran out just now. */
	void (*pressure)(void *arg);
	/* Hand in now what link has said (killwatch_action). */
	void (*hear)(void *arg);
	void *arg;
};

struct killwatch {
	struct killwatch_config cfg;
	struct oom *oom;
	struct journal_watch *journal; /* NULL = none may be read here */
	bool journal_told;             /* why not was said */
	int64_t journal_retry_us;      /* none could be read: not before */
};

int killwatch_init(struct killwatch *k, const struct killwatch_config *cfg,
		   struct error *err) must_use;
/* Decides what waits, with what is known. */
void killwatch_fini(struct killwatch *k);

/* What the posture found, for the advice that kills get. */
void killwatch_posture(struct killwatch *k, const struct outlook *o);
void killwatch_before_round(struct killwatch *k);
/* As ticker_on_end. */
void killwatch_gone(struct killwatch *k, uint32_t id, const struct proc *p);
/* What memherd is about to do to a process, or did not do after all. */
void killwatch_action(struct killwatch *k, const struct record_action *a);
void killwatch_after_round(struct killwatch *k);
void killwatch_beat(struct killwatch *k, int64_t wall_us);

#endif
