/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gc_report.h - what 'memherd-agent gc' has found, as a table or as one JSON object.
 */
#ifndef MEMHERD_AGENT_GC_REPORT_H
#define MEMHERD_AGENT_GC_REPORT_H

#include "agent/python/pause_summary.h"

#define GC_NOTES_MAX    8
#define GC_LONGEST      10
#define GC_COUNTS_KNOWN PAUSE_GENERATIONS

/* X(NAME, word): how the collections were seen. */
#define GC_METHOD_LIST(X)                                             \
	X(USDT, usdt)         /* probes that the build declares */    \
	X(FUNCTION, function) /* probes at the collecting function */ \
	X(MEMORY, memory)     /* the interpreter's own ring (3.15) */ \
	X(COUNTERS, counters) /* how many, from the interpreter's counters; no pauses */

enum gc_method {
#define X(NAME, word) GC_##NAME,
	GC_METHOD_LIST(X)
#undef X
		GC_METHODS
};

struct gc_report {
	uint32_t pid;
	char comm[32];    /* safe to print */
	char version[16]; /* '3.11.2', '3.11' when no more is known, '' */
	char file[64];    /* safe to print */
	enum gc_method method;
	const char *ended; /* time, signal, process, cost */
	int64_t start_ns;  /* CLOCK_MONOTONIC */
	int64_t seconds_ns;
	int64_t wall_minus_monotonic_ns;
	double rate_before;  /* collections a second; -1 = not measured */
	double cost_percent; /* of a processor, as the probes were hit; -1 = none were used */
	uint64_t lost;
	uint64_t not_kept;
	const struct pause *pauses;
	size_t n;
	struct pause_summary rows[PAUSE_ROWS];
	char notes[GC_NOTES_MAX][160];
	size_t n_notes;
};

const char *gc_method_word(enum gc_method m);
void gc_note(struct gc_report *r, const char *fmt, ...) printf_like(2, 3);
void gc_report_human(const struct gc_report *r);
/* -ENOMEM, or as writing went. */
int gc_report_json(const struct gc_report *r) must_use;

#endif
