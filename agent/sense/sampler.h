/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sampler.h - one round over all processes of a host, into the table of processes.
 *
 * Owns the held /proc and the table; knows no socket, no clock and nothing of the wire (tick.h).
 * What is read when (README.md says why): statm of every process each round; status where statm
 * moved; stat where statm moved or CPU was used in the last reading; all of it, and the count of
 * descriptors, on each process's turn of the slow round.
 */
#ifndef MEMHERD_AGENT_SENSE_SAMPLER_H
#define MEMHERD_AGENT_SENSE_SAMPLER_H

#include "agent/sense/containers.h"
#include "agent/sense/procdir.h"
#include "agent/sense/proctab.h"
#include "agent/sense/services.h"
#include "common/error.h"

/* How old the figures of a quiet process may be, in rounds: its CPU time and faults; all else but
 * memory, which statm watches in every round. Measured: 6 would cost as much again as the floor. */
#define SAMPLER_STAT_EVERY 12u
#define SAMPLER_FULL_EVERY 30u

/* How long a newborn may take from fork to exec, and from exec to its title (rounds of 10 s). */
#define SAMPLER_YOUNG_US 30000000
#define SAMPLER_YOUNG    3u

struct sampler_config {
	const char *proc_path;  /* "/proc"; must outlive the sampler */
	uint32_t max_processes; /* beyond them: skipped */
	uint32_t stat_every;    /* rounds between two readings of a quiet process's stat */
	uint32_t full_every;    /* rounds between two readings of everything */
	uint32_t young_rounds;  /* a newborn is looked at again until then; 0 = SAMPLER_YOUNG */
};

struct sampler {
	struct sampler_config cfg;
	struct procdir dir;
	struct proctab tab;
	struct services services;
	struct containers containers;
	int64_t now_us;   /* since boot, of this round: set by whoever asks about services */
	uint32_t round;   /* from 1 */
	uint32_t live;    /* entries of kind PROC_LIVE */
	uint32_t hidden;  /* entries of kind PROC_HIDDEN */
	uint32_t skipped; /* in this round */
	uint32_t ticks_per_sec;
	unsigned page_kib;
};

int sampler_init(struct sampler *s, const struct sampler_config *cfg, struct error *err) must_use;
void sampler_fini(struct sampler *s);

/* Reads every process that is there into tab and marks what has ended. */
int sampler_scan(struct sampler *s, struct error *err) must_use;
/* Takes what has ended out of tab. */
void sampler_sweep(struct sampler *s);

/* Has this entry figures to tell? */
static inline bool sampler_tells(const struct proc *p)
{
	return p->kind == PROC_LIVE && !p->ended;
}

#endif
