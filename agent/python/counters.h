/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counters.h - how many collections one process has had, over all its interpreters, and (3.15) the
 * latest of them from the interpreters' own rings. Reads memory only: no probe, no stop, no cost
 * for the process.
 */
#ifndef MEMHERD_AGENT_PYTHON_COUNTERS_H
#define MEMHERD_AGENT_PYTHON_COUNTERS_H

#include "agent/python/pause_list.h"
#include "agent/python/runtime.h"

struct counters {
	uint64_t collections[LAYOUT_GENERATIONS];
	uint64_t collected[LAYOUT_GENERATIONS];
};

/* Since the start of the process; of interpreters that have ended nothing. Negative as
 * gcstat_read() and runtime_interpreters(). */
int counters_read(const struct runtime *r, struct counters *ret) must_use;

/* The part of a ring that was seen already, for each interpreter and generation. */
struct counters_seen {
	uint64_t interpreter; /* 0 = free */
	uint64_t collections[LAYOUT_GENERATIONS];
	uint64_t collected[LAYOUT_GENERATIONS];
};

struct counters_poll {
	struct counters_seen seen[RUNTIME_MAX_INTERPRETERS];
	uint64_t lost; /* overwritten between two looks */
	bool begun;
};

/* True when this interpreter keeps the pauses itself. */
bool counters_have_pauses(const struct runtime *r);
/* Adds what is new in the rings; the first call only remembers what there is. Negative as above. */
int counters_poll(struct counters_poll *p, const struct runtime *r,
		  struct pause_list *into) must_use;

#endif
