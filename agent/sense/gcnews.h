/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gcnews.h - which changes of a process's cycle collector are worth an event: it was switched off
 * or on, its thresholds changed, garbage was found that cannot be freed, a full collection ran.
 *
 * Each is told against what was told before, so that what had to wait is told later and nothing is
 * told twice: full collections at most once in GCNEWS_FULL_US, all else once in GCNEWS_US. Pure.
 */
#ifndef MEMHERD_AGENT_SENSE_GCNEWS_H
#define MEMHERD_AGENT_SENSE_GCNEWS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/python/gcstat.h"

#define GCNEWS_US      (10 * INT64_C(1000000))
#define GCNEWS_FULL_US (600 * INT64_C(1000000))

/* X(NAME, name): what is counted over all interpreters of a process. */
#define GC_COUNTER_LIST(X)                \
	X(COLLECTIONS0, collections0)     \
	X(COLLECTIONS1, collections1)     \
	X(COLLECTIONS2, collections2)     \
	X(COLLECTED, collected)           \
	X(UNCOLLECTABLE, uncollectable)   \
	X(TIME_US, time_us)               \
	X(COLLECTED0, collected0)         \
	X(COLLECTED1, collected1)         \
	X(UNCOLLECTABLE0, uncollectable0) \
	X(UNCOLLECTABLE1, uncollectable1)

enum gc_counter {
#define X(NAME, name) GC_##NAME,
	GC_COUNTER_LIST(X)
#undef X
		GC_COUNTERS
};

/* X(NAME, word): the event's 'what'. */
#define GCNEWS_LIST(X)                  \
	X(DISABLED, disabled)           \
	X(ENABLED, enabled)             \
	X(THRESHOLD, threshold)         \
	X(UNCOLLECTABLE, uncollectable) \
	X(FULL, full)

enum gcnews_what {
#define X(NAME, word) GCNEWS_##NAME,
	GCNEWS_LIST(X)
#undef X
		GCNEWS_COUNT
};

const char *gcnews_word(enum gcnews_what what);

struct gcnews_item {
	enum gcnews_what what;
	int32_t before[LAYOUT_GENERATIONS]; /* thresholds */
	int32_t now[LAYOUT_GENERATIONS];
	uint64_t count;     /* full collections, or objects that cannot be freed */
	uint64_t collected; /* by all collections since the last word of them */
	int64_t time_us;    /* in all of those; -1 = not known */
};

/* What was told of one process. */
struct gcnews {
	bool enabled;
	int32_t thresholds[LAYOUT_GENERATIONS];
	uint64_t uncollectable;
	uint64_t full;
	uint64_t collected;
	uint64_t time_us;
	int64_t told_us[GCNEWS_COUNT]; /* since boot; 0 = never */
};

/* What a process had done before it was looked at is no news. */
void gcnews_learn(struct gcnews *n, const struct gcstat *main, const uint64_t sums[GC_COUNTERS],
		  int64_t boot_us);
/* The next thing to tell; false when there is none. */
bool gcnews_next(struct gcnews *n, const struct gcstat *main, const uint64_t sums[GC_COUNTERS],
		 int64_t boot_us, struct gcnews_item *ret);

#define GCNEWS_TEXT 200
/* One sentence without a subject: 'switched off'. Returns out. */
const char *gcnews_text(char out[GCNEWS_TEXT], const struct gcnews_item *item);

#endif
