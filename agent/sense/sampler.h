/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sampler.h - one round over all processes of a host, turned into one encoded tick.
 *
 * Owns the held /proc, the table of processes and the encoder's state; knows no socket and no
 * clock. What is read when (docs in README.md): statm of every process each round; status where
 * statm moved; stat where statm moved or CPU was used in the last reading; all of it, and the
 * count of descriptors, on each process's turn of the slow round.
 */
#ifndef MEMHERD_AGENT_SENSE_SAMPLER_H
#define MEMHERD_AGENT_SENSE_SAMPLER_H

#include "agent/sense/procdir.h"
#include "agent/sense/proctab.h"
#include "proto/delta.h"

/* How old the figures of a quiet process may be, in rounds: its CPU time and faults; all else but
 * memory, which statm watches in every round. Measured: 6 would cost as much again as the floor. */
#define SAMPLER_STAT_EVERY 12u
#define SAMPLER_FULL_EVERY 30u

struct sampler_config {
	const char *proc_path;  /* "/proc"; must outlive the sampler */
	int64_t interval_us;    /* told in each tick */
	int64_t keyframe_us;    /* at most this long between keyframes */
	int64_t window_us;      /* the first tick of each window of the wall clock is a keyframe */
	uint32_t max_processes; /* beyond them: skipped */
	uint32_t stat_every;    /* rounds between two readings of a quiet process's stat */
	uint32_t full_every;    /* rounds between two readings of everything */
};

struct sampler {
	struct sampler_config cfg;
	struct procdir dir;
	struct proctab tab;
	struct delta_state state;
	struct arena arena; /* of one round */
	uint32_t round;     /* from 1 */
	uint32_t live;      /* entries of kind PROC_LIVE */
	uint32_t hidden;    /* entries of kind PROC_HIDDEN */
	uint32_t skipped;   /* in this round */
	uint32_t ticks_per_sec;
	unsigned page_kib;
	uint8_t boot_id[16];
	bool keyframe_due;
	int64_t last_keyframe_us; /* since boot */
	int64_t last_wall_us;
};

int sampler_init(struct sampler *s, const struct sampler_config *cfg, struct error *err) must_use;
void sampler_fini(struct sampler *s);

/* Reads the boot id, which each keyframe carries: before the first round. -EINVAL for a text that
 * is no UUID. */
int sampler_identify(struct sampler *s, struct error *err) must_use;

/*
 * Samples and appends the encoded tick to body, which is empty and allows RECORD_MAX_BODY bytes.
 * ret_keyframe tells what it is. On failure nothing is lost: the next round is a keyframe.
 * -ENOMEM, -ENOBUFS (the tick did not fit), or why /proc cannot be read.
 */
int sampler_round(struct sampler *s, int64_t wall_us, int64_t boot_us, struct buf *body,
		  bool *ret_keyframe, struct error *err) must_use;

/* The next tick decodes without history, strings included: a new stream has begun, or a tick was
 * dropped after it was made. */
void sampler_restart(struct sampler *s);

/* The parts of a round, for top and the benchmark. Afterwards tab holds the live processes. */
int sampler_scan(struct sampler *s, struct error *err) must_use;
/* Takes what ended out of tab. */
void sampler_sweep(struct sampler *s);

#endif
