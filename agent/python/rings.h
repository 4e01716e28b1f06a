/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rings.h - what 3.15's collector keeps of its last collections, behind a pointer: 11 records of
 * the young generation, 3 of each old one. The newest record holds the running totals too.
 */
#ifndef MEMHERD_AGENT_PYTHON_RINGS_H
#define MEMHERD_AGENT_PYTHON_RINGS_H

#include <stdint.h>

#include "agent/python/gcstat.h"

/* Fills in collections, collected, uncollectable and duration of each generation. -EBADMSG when an
 * index or a duration cannot be, -EAGAIN when it was written all the while; as memory_read(). */
int rings_totals(const struct runtime *r, uint64_t address,
		 struct gcstat_generation ret[LAYOUT_GENERATIONS]) must_use;
/* As gcstat_pauses(). */
int rings_pauses(const struct runtime *r, uint64_t address, unsigned generation,
		 struct gcstat_pause ret[GCSTAT_PAUSES]) must_use;

#endif
