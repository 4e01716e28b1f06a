/* SPDX-License-Identifier: Apache-2.0 */
/*
 * python.h - what is remembered of a Python process beside its newest figures: an hour of those
 * that say why it grows, and two of its censuses. Made when its agent first tells of an
 * interpreter, gone with the process. No I/O, no clock.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_PYTHON_H
#define MEMHERD_COLLECTOR_FLEET_PYTHON_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/metric.h"
#include "proto/wire.h"

/* X(METRIC): figures with a history. */
#define PYTHON_HISTORY_LIST(X) \
	X(RSS)                 \
	X(ANON)                \
	X(FILE)                \
	X(SHMEM)               \
	X(SWAP) X(CPU) X(MINFLT) X(GC0) X(GC1) X(GC2) X(COLLECTED) X(UNCOLLECTABLE) X(GC_TIME)

enum python_series {
#define X(METRIC) PYTHON_OF_##METRIC,
	PYTHON_HISTORY_LIST(X)
#undef X
		PYTHON_SERIES
};

/* As struct trend: the step doubles until the points cover an hour, then the oldest go. */
#define PYTHON_POINTS      32
#define PYTHON_STEP_MIN_US 2000000LL
#define PYTHON_STEP_MAX_US (64 * PYTHON_STEP_MIN_US)

struct python_point {
	int64_t t_us;
	int64_t v[PYTHON_SERIES];
};

struct python_history {
	int64_t step_us;
	int64_t began_us; /* of the newest point's step; its time and figures move on within it */
	unsigned n;
	struct python_point points[PYTHON_POINTS]; /* oldest first */
};

/* The types of a census that are remembered: growth is among the large ones. */
#define PYTHON_TYPES 64
/* A base is kept for so long: growth is told over hours, not over the life of the process. */
#define PYTHON_BASE_MAX_US (6 * 3600 * 1000000LL)

struct python_type {
	char *name;
	int64_t count;
	int64_t bytes;
};

struct python_census {
	int64_t census_id;
	int64_t t_us;
	enum census_method method;
	int64_t objects;
	int64_t bytes;
	unsigned types_total;
	int64_t parts[HEAP_PART_COUNT]; /* bytes, or a count; HEAP_ABSENT */
	unsigned n;
	struct python_type types[PYTHON_TYPES]; /* the largest first */
};

struct python {
	struct python_history history;
	struct python_census *base; /* NULL = no census yet */
	struct python_census *last; /* NULL = one at most */
	int64_t asked_us;           /* when a rule last asked for one; 0 = never */
};

struct python *python_new(void) must_use;
void python_free(struct python **p);
/* Does a sample tell of an interpreter? */
bool python_told(const int64_t v[METRIC_COUNT]);
void python_take(struct python *p, const int64_t v[METRIC_COUNT], int64_t t_us);
/* The newest becomes last; what was last becomes the base when the base is too old. One that is not
 * newer than what is known is not taken; without memory all stays as it was. */
void python_census(struct python *p, const struct wire_census *c, int64_t census_id, int64_t t_us);

/* How much of a counter was added within the newest span_us (at most): false with fewer than two
 * points. A counter that went back began again. */
bool python_added(const struct python_history *h, enum python_series s, int64_t span_us,
		  int64_t *ret_added, int64_t *ret_span_us);

#endif
