/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gctotals.h - what the collectors of a host's Python processes did since we watch, by service, for
 * /metrics: sums over the processes that live would fall when one ends, and a counter must not.
 * The first sample of a process is where counting begins.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_GCTOTALS_H
#define MEMHERD_COLLECTOR_FLEET_GCTOTALS_H

#include <stdint.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "proto/metric.h"

#define GCTOTALS_MAX         1024 /* services of a host; what finds no room is not counted */
#define GCTOTALS_GENERATIONS 3

struct gctotal {
	char *service;
	uint64_t collections[GCTOTALS_GENERATIONS];
	uint64_t collected;
	uint64_t uncollectable;
	UT_hash_handle hh; /* by service */
};

/* A sample comes in: before is the one before it, all absent at first. */
void gctotals_add(struct gctotal **all, const char *service, const int64_t before[METRIC_COUNT],
		  const int64_t now[METRIC_COUNT]);
void gctotals_free(struct gctotal **all);

#endif
