/* SPDX-License-Identifier: Apache-2.0 */
/*
 * growers.h - who had grown before a kill: what a process has now, by the kernel's table where that
 * lists it, against what the flight ring knew of it. Between the files of the dossier only; pure.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_GROWERS_H
#define MEMHERD_AGENT_SENSE_OOM_GROWERS_H

#include "agent/sense/oom/dossier.h"

struct grower {
	const struct ring_grown *grown; /* NULL: not in the ring */
	const struct oom_task *row;     /* NULL: not in the kernel's table */
	int64_t pid;
	bool unheard;             /* was not there in the last round */
	int64_t size;             /* RSS and swap now, KiB; METRIC_ABSENT */
	int64_t gain[RING_SPANS]; /* METRIC_ABSENT = not known */
	int64_t score;
};

/* What is known of one process; row: its line in the kernel's table or NULL. */
void grower_of(const struct dossier_facts *f, int64_t pid, const struct oom_task *row,
	       struct grower *ret);
/* Those who gained, the first by score before all others; how many. */
size_t growers_rank(const struct dossier_facts *f, struct grower out[DOSSIER_MAX_GROWERS]);
/* The shortest span with most of the gain, an index of spans_us. */
unsigned grower_span(const struct grower *g);
/* '/a/b' is or holds '/a/b/c'; "" and "/" hold all. */
bool grower_path_holds(const char *outer, const char *inner);

#endif
