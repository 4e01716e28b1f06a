/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gcstat.h - what gc.get_stats(), gc.get_threshold(), gc.get_count(), gc.isenabled() and
 * gc.get_freeze_count() would say, read from outside.
 */
#ifndef MEMHERD_AGENT_PYTHON_GCSTAT_H
#define MEMHERD_AGENT_PYTHON_GCSTAT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/python/runtime.h"

struct gcstat_generation {
	int32_t threshold;
	int32_t count;
	uint64_t collections;
	uint64_t collected;
	uint64_t uncollectable;
	int64_t duration_us; /* in collections of it, since the start; 3.15, else -1 */
};

struct gcstat {
	int64_t interpreter; /* its id; 0 = main */
	bool enabled;
	bool collecting;
	struct gcstat_generation generations[LAYOUT_GENERATIONS];
	uint64_t long_lived_total; /* a full collection waits until pending is over a quarter of it
				    */
	uint64_t long_lived_pending;
};

/*
 * One interpreter's collector, in one system call (3.15: two). Checked before it is believed:
 * -EBADMSG when the structures are not there any more (after an exec, say), -ESHUTDOWN while the
 * interpreter ends, -EAGAIN when it was written all the while we read; -EFAULT, -ESRCH, -EPERM.
 */
int gcstat_read(const struct runtime *r, uint64_t interpreter, struct gcstat *ret) must_use;

/*
 * Whether the collector is where the layout says: all that gcstat_read() checks, and that the
 * generations are the heads of closed lists. These change while they are read, so -EBADMSG is said
 * only after several looks.
 */
int gcstat_check(const struct runtime *r, uint64_t interpreter) must_use;

/* How many objects gc.freeze() put aside: walks their list, at most max of them (-E2BIG beyond). */
int gcstat_frozen(const struct runtime *r, uint64_t interpreter, uint32_t max,
		  uint64_t *ret) must_use;

/* 3.15: the latest collections of a generation from the interpreter's own ring, oldest first. */
#define GCSTAT_PAUSES 11u
struct gcstat_pause {
	int64_t start_us; /* CLOCK_MONOTONIC */
	int64_t duration_us;
	uint64_t collections; /* its number */
	uint64_t collected;   /* in all up to it */
};
/* The count, or negative; -ENOTSUP before 3.15. */
int gcstat_pauses(const struct runtime *r, uint64_t interpreter, unsigned generation,
		  struct gcstat_pause ret[GCSTAT_PAUSES]) must_use;

#endif
