/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dossier.h - everything that is known of one kill, as the record that goes to the collector: the
 * kernel's report joined to our names, who had grown before it, whose limit it was, a sentence and
 * advice. Pure: what was there before the kill is read from the flight ring, never from /proc.
 *
 * Ranking of growers: the sum of what a process gained in the last minute, ten minutes and hour.
 * These windows lie in each other, so recent growth counts three times, a leak of an hour once.
 * When a cgroup's limit was hit only those inside it count. What a process has now is what the
 * kernel's task table says where it is listed: the last round may be minutes old.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_DOSSIER_H
#define MEMHERD_AGENT_SENSE_OOM_DOSSIER_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/sense/oom/deaths.h"
#include "agent/sense/oom/kill.h"
#include "agent/sense/ring.h"
#include "common/arena.h"
#include "proto/wire.h"

#define DOSSIER_MAX_TASKS   64u
#define DOSSIER_MAX_GROWERS 10u
#define DOSSIER_MAX_LINES   12u
#define DOSSIER_LINE_SIZE   400u
/* The packed record is smaller: of the task table the smallest go. */
#define DOSSIER_MAX_PACKED ((size_t)48 * 1024)
/* Larger ones are no memory: the kernel's 'no limit' is the largest number of pages. */
#define DOSSIER_MAX_KIB (INT64_C(1) << 52)
/* What dossier_make() may take of its arena. */
#define DOSSIER_ARENA ((size_t)192 * 1024)

/* A minute, ten, sixty; none longer than the ring reaches back (ring_seconds says how far): what a
 * process gained since then is more than nothing. For ring_growth(). */
void dossier_spans(const struct ring *ring, int64_t now_us, int64_t ret_us[RING_SPANS]);

/* Who has a pid now, or had it in the last round. */
enum dossier_known {
	DOSSIER_UNKNOWN, /* nobody can tell */
	DOSSIER_NEW,     /* it was not there in the last round: all that it has is growth */
	DOSSIER_KNOWN    /* in the ring, at *ret_slot */
};

struct dossier_facts {
	const struct oom_kill *kill; /* as told, or oom_kill_init() and what is known */
	const struct death_end
		*end;           /* NULL: the kernel told of the kill, else: what we found out */
	const uint8_t *boot_id; /* 16 bytes */
	uint64_t seq;
	int64_t wall_us;
	int64_t now_us; /* the ring's clock */
	bool replayed;  /* nothing of that moment is in the ring: it is not asked */
	const struct ring *ring;
	const struct ring_grown *grown; /* ring_growth() over spans_us; by slot */
	int64_t spans_us[RING_SPANS];
	size_t n_grown;
	const int64_t *host;   /* HOST_METRIC_COUNT; NULL = not known */
	int64_t kills_so_far;  /* METRIC_ABSENT */
	uint64_t victim_start; /* start ticks where the ring does not know; 0 */
	int64_t trigger_tgid;  /* of the thread that triggered it; METRIC_ABSENT */
	bool sshd_unprotected;
	const char *const *lines; /* raw, the kernel's own */
	size_t n_lines;

	enum dossier_known (*find)(void *arg, int64_t pid, uint32_t *ret_slot);
	/* The raw cgroup path of who is in that slot; NULL = not known. */
	const char *(*cgroup)(void *arg, const struct ring_who *who);
	/* No limit holds who is in that slot. */
	bool (*unlimited)(void *arg, const struct ring_who *who);
	void *arg;
};

/* Strings of *ret live in a or are constant. -ENOMEM. */
int dossier_make(struct arena *a, const struct dossier_facts *f, struct wire_kill *ret) must_use;
/* '(boot, pid, start)' as a number of its own kind: told twice it is the same kill. */
uint64_t dossier_own_seq(const uint8_t boot_id[16], uint32_t pid, uint64_t start_ticks);

#endif
