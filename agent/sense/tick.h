/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tick.h - a round of the sampler turned into one encoded tick (proto/delta.h): who was born, who
 * ended, what changed, and when all of it must be told again (keyframes).
 *
 * Owns the sampler and the encoder's state; knows no socket and no clock.
 */
#ifndef MEMHERD_AGENT_SENSE_TICK_H
#define MEMHERD_AGENT_SENSE_TICK_H

#include "agent/sense/interpreters.h"
#include "agent/sense/pythons.h"
#include "agent/sense/sampler.h"
#include "agent/sense/survey.h"
#include "proto/delta.h"

struct ticker_config {
	struct sampler_config sampling;
	struct survey_config survey;
	int64_t interval_us; /* between two rounds, when nothing is wrong */
	int64_t keyframe_us; /* at most this long between keyframes */
	int64_t window_us;   /* the first tick of each window of the wall clock is a keyframe */
	bool no_python;      /* do not read interpreters */
};

/* Told of each process that ended, while its entry is still whole. */
typedef void ticker_on_end(void *arg, uint32_t id, const struct proc *p);

struct ticker {
	struct ticker_config cfg;
	struct sampler sampler;
	struct survey survey;
	struct pythons pythons;
	struct interpreters interpreters;
	bool spare_looks;                 /* for now, no new interpreters are looked for */
	uint64_t cgroup_told[CGROUP_MAX]; /* what was announced of each, hashed; 0 = nothing */
	uint32_t cgroups_high;            /* ids that were looked at in the last round are below */
	int64_t pace_us;                  /* between two rounds now; told in each tick */
	struct delta_state state;
	struct arena arena; /* of one round */
	uint8_t boot_id[16];
	ticker_on_end *on_end;    /* may be NULL */
	pythons_on_news *on_news; /* may be NULL */
	void *arg;
	bool keyframe_due;
	unsigned caution;         /* halvings of what may be announced in one tick */
	size_t births_cost;       /* of this tick, by guess, in bytes */
	size_t changes_cost;      /* what changed in the last one, told or not */
	uint32_t changes_from;    /* where telling what changed goes on */
	int64_t last_keyframe_us; /* since boot */
	int64_t last_wall_us;
};

/* Opens /proc and reads the boot id, which each keyframe carries: -EINVAL for a text that is no
 * UUID, else what kept it from being read. */
/* The next rounds come so far apart: interval_us, or less while memory is short. */
void ticker_pace(struct ticker *t, int64_t pace_us);

int ticker_init(struct ticker *t, const struct ticker_config *cfg, struct error *err) must_use;
void ticker_fini(struct ticker *t);

/*
 * Samples and appends the encoded tick to body, which is empty and allows RECORD_MAX_BODY bytes.
 * ret_keyframe tells what it is. On failure nothing is lost: the next round is a keyframe.
 * -ENOMEM, -ENOBUFS (the tick did not fit), or why /proc cannot be read.
 */
int ticker_round(struct ticker *t, int64_t wall_us, int64_t boot_us, struct buf *body,
		 bool *ret_keyframe, struct error *err) must_use;

/* How long until the next round is due, 1 to the pace. Each boot of each host has a phase of its
 * own within the interval, so that a fleet does not send all at once. */
int64_t ticker_wait_us(const struct ticker *t, int64_t wall_us);

/* The next tick decodes without history, strings included: a new stream has begun, or a tick was
 * dropped after it was made. */
void ticker_restart(struct ticker *t);

#endif
