/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause_summary.h - figures of many collections. Pure.
 */
#ifndef MEMHERD_AGENT_PYTHON_PAUSE_SUMMARY_H
#define MEMHERD_AGENT_PYTHON_PAUSE_SUMMARY_H

#include <stddef.h>

#include "agent/python/pairing.h"

enum { PAUSE_GENERATIONS = 3, PAUSE_ROWS = PAUSE_GENERATIONS + 2 };
#define PAUSE_ROW_UNKNOWN PAUSE_GENERATIONS       /* generation not known */
#define PAUSE_ROW_ALL     (PAUSE_GENERATIONS + 1) /* all of them */

/* Durations in ns, of those that have one; 0 when none has. */
struct pause_summary {
	uint64_t count;
	uint64_t timed; /* of these have a duration */
	int64_t total_ns;
	int64_t mean_ns;
	int64_t p50_ns; /* nearest rank */
	int64_t p99_ns;
	int64_t max_ns;
	int64_t collected; /* objects, of those where it is known; -1 when of none */
};

/* ret by generation, then PAUSE_ROW_UNKNOWN and PAUSE_ROW_ALL. -ENOMEM. */
int pause_summarize(const struct pause *pauses, size_t n,
		    struct pause_summary ret[PAUSE_ROWS]) must_use;
/* The longest first, at most max: their places in pauses. The count. */
size_t pause_longest(const struct pause *pauses, size_t n, size_t *ret, size_t max);

#endif
