/* SPDX-License-Identifier: Apache-2.0 */
/*
 * census.h - how many objects of which type a CPython process holds, as objgraph's
 * most_common_types() would say inside of it, read from its memory.
 *
 * What is counted is what the collector tracks: containers, instances, functions, classes. Strings,
 * numbers and buffers are not in its lists and so not here; the bytes are what sys.getsizeof()
 * says of each object, with the values that an instance keeps beside itself. Reading only: the
 * memory may be a snapshot's, a stopped process's, or change while it is read. Every link of the
 * lists is checked, so that a list which was changed under way is noticed (-EAGAIN) rather than
 * counted.
 */
#ifndef MEMHERD_AGENT_PYTHON_CENSUS_H
#define MEMHERD_AGENT_PYTHON_CENSUS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/python/chunks.h"
#include "agent/python/layout.h"
#include "agent/python/runtime.h"
#include "common/error.h"

#define CENSUS_NAME_SIZE 128
#define CENSUS_MAX_TYPES 65536u
/* The smallest tracked object: the collector's head and an object's. */
#define CENSUS_MIN_OBJECT 32u

struct census_row {
	char name[CENSUS_NAME_SIZE]; /* printable: 'dict', 'collections.deque', 'app.models.User' */
	uint64_t objects;
	uint64_t bytes;
};

struct census {
	struct census_row *rows; /* by bytes, the largest first; one a name */
	size_t n;
	uint64_t objects;
	uint64_t bytes;
	uint64_t frozen;       /* of the objects: put aside by gc.freeze() */
	uint64_t other_types;  /* objects of types beyond CENSUS_MAX_TYPES: in no row */
	unsigned interpreters; /* collectors that were walked */
	uint64_t broken;       /* lists that did not fit; 0 unless asked for by 'tolerate' */
	uint64_t reads;        /* system calls that it took */
};

struct census_order {
	const struct chunk_source *source;
	const struct layout *layout;
	const uint64_t *collectors; /* addresses of struct _gc_runtime_state */
	size_t n_collectors;
	uint64_t max_objects; /* what the heap can hold at most: a longer list is a loop */
	size_t cache_bytes;
	int64_t until_us; /* clock_boot_us(), 0 = no deadline */
	/* A list that does not fit is counted from both its ends up to there, and told in 'broken',
	 * instead of refused. */
	bool tolerate;
};

/*
 * -EBUSY: a collection is under way and the lists are apart; -EAGAIN: they changed under way;
 * -ETIMEDOUT; -ENOMEM; -ESRCH, -EPERM of the source.
 */
int census_walk(const struct census_order *o, struct census *ret, struct error *err) must_use;
void census_fini(struct census *c);

/* The collectors of a runtime's interpreters, each once; the count or as runtime_interpreters(). */
int census_collectors(const struct runtime *r, uint64_t ret[RUNTIME_MAX_INTERPRETERS]) must_use;
/* Bytes of private writable memory: what a heap can be at most. */
uint64_t census_heap_bytes(const struct maps *m);

static inline void auto_census_(struct census *c)
{
	census_fini(c);
}
#define auto_census __attribute__((cleanup(auto_census_)))

#endif
