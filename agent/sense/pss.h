/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pss.h - PSS and USS of many processes within a budget of CPU time.
 *
 * smaps_rollup walks the target's page tables under its lock: some 6 us + 2 us a MiB, milliseconds
 * for a large process. So it is read in turns, the most urgent first, for as long as a token bucket
 * of microseconds lasts; between two readings a ratio estimates.
 *
 * A round is: pss_begin(), pss_offer() for each live process, pss_measure() (or pss_next() and
 * pss_learn(), which know no file and no clock), then pss_figures() for each process.
 *
 * Urgency is age x (1 MiB + size / 16 + 4 x growth since the last reading): age grows without bound
 * while a process waits and starts anew when it was read, so nothing starves. A process that did
 * not change is due again after refresh_s; below min_rss_kib (kernel threads have none) it costs
 * nothing.
 *
 * The bucket may go into debt by one reading, and nothing is read until the debt is earned back:
 * over time the ceiling holds. What is predicted above max_us is not read in turn: once in rare_s
 * it is tried (huge pages make it 20-50 times cheaper than the model says, and a measured cost
 * corrects the prediction of that process), and above 10 x max_us never. Both are counted in
 * skipped_cost.
 *
 * State is 24 bytes a process, in an array by proctab's id; the start time keeps an id that was
 * reused from inheriting.
 */
#ifndef MEMHERD_AGENT_SENSE_PSS_H
#define MEMHERD_AGENT_SENSE_PSS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/sense/procdir.h"
#include "common/check.h"

#define PSS_PICKS_MAX 512u /* readings in one round */

struct pss_config {
	uint32_t cpu_share;   /* ceiling, 1/10000 of one core; 0 = measure nothing */
	uint32_t burst_us;    /* what the bucket holds */
	uint32_t max_us;      /* predicted cost above which a process is not read in turn */
	uint32_t refresh_s;   /* a quiet process's figures are at most about this old */
	uint32_t rare_s;      /* between two tries of what is too expensive or may not be read */
	uint32_t min_rss_kib; /* smaller ones are left out */
};
/* 1 % of a core, 20 ms a process, everything once a minute. */
extern const struct pss_config pss_defaults;

struct pss_entry {
	uint32_t start;      /* low bits of start_ticks */
	uint32_t rss;        /* KiB: as offered when measured; 0 = never measured */
	uint32_t pss;        /* KiB */
	uint32_t uss;        /* KiB */
	uint32_t when;       /* seconds since boot: of the last try, or when first offered */
	uint16_t correction; /* measured / modelled cost, 1/256; 0 = not known */
	uint8_t state;       /* enum pss_state */
};

struct pss_pick {
	uint64_t urgency;
	uint32_t id;
	uint32_t pid;
	uint32_t rss;
	uint32_t start;
	uint32_t predicted_us;
};

struct pss_figures_sum {
	uint64_t reads;  /* since the start */
	uint64_t failed; /* readings that gave nothing */
	int64_t spent_us;
	uint32_t round_reads;
	uint32_t round_us;
	uint32_t due;          /* were due in this round; what was not read of them waits */
	uint32_t skipped_cost; /* in this round: too expensive */
	uint32_t tiny;         /* in this round: below min_rss_kib */
	uint32_t oldest_s;     /* the oldest measurement among those offered in this round */
};

struct pss {
	struct pss_config cfg;
	struct pss_entry *entries; /* by id */
	uint32_t cap;
	struct pss_pick *picks; /* a heap, the least urgent first; sorted by the first pss_next() */
	uint32_t n_picks;
	uint32_t next;
	bool sorted;
	int64_t tokens_us;
	int64_t last_us; /* since boot; 0 = no round yet */
	uint32_t now_s;
	uint32_t correction; /* of those not measured yet, 1/256: what large ones taught */
	bool unsupported;    /* no smaps_rollup (Linux before 4.14): said once by the owner */
	struct pss_figures_sum sum;
};

int pss_init(struct pss *p, const struct pss_config *cfg) must_use;
void pss_fini(struct pss *p);

/* ---- decisions ---- */

void pss_begin(struct pss *p, int64_t boot_us);
/* rss_kib as the round's sample has it; PROC_ABSENT and kernel threads are not offered. -ENOMEM:
 * the process is left out of this round. */
int pss_offer(struct pss *p, uint32_t id, uint32_t pid, uint64_t start_ticks,
	      uint32_t rss_kib) must_use;
/* The most urgent one that was not given yet; false when none is left or the bucket is empty. The
 * caller answers with pss_learn() or pss_fail() before the next call. */
bool pss_next(struct pss *p, struct pss_pick *ret);
/* All KiB; cost_us: CPU time of this reading. */
void pss_learn(struct pss *p, const struct pss_pick *pick, uint32_t pss_kib, uint32_t uss_kib,
	       int64_t cost_us);
/* It could not be read: again after rare_s. */
void pss_fail(struct pss *p, const struct pss_pick *pick, int64_t cost_us);
/* Microseconds, by the model alone. */
uint32_t pss_model_us(uint32_t rss_kib);

/* The measured or estimated figures at rss_kib, in KiB: pss <= rss, uss <= pss. False when this
 * process was never measured. ret_age_s: how old the measurement is. */
bool pss_figures(const struct pss *p, uint32_t id, uint64_t start_ticks, uint32_t rss_kib,
		 uint32_t *ret_pss, uint32_t *ret_uss, uint32_t *ret_age_s);

/* ---- reading ---- */

/* Reads what pss_next() gives until the budget ends; cpu_us: the thread's CPU time
 * (clock_us(CLOCK_THREAD_CPUTIME_ID)). Sets 'unsupported' when the kernel has no such file. */
void pss_measure(struct pss *p, const struct procdir *d, int64_t (*cpu_us)(void));

#endif
