/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc.h - glibc's malloc seen from outside: the chunks of a heap, walked by their sizes.
 *
 * A chunk is {size of the one before it, if that is free; own size with three flag bits} and what
 * malloc() gave away (malloc/malloc.c of glibc 2.26 to 2.43, LP64). Whether a chunk is in use is
 * told by the one behind it. The main arena's chunks fill [heap]; other arenas have heaps at
 * multiples of 64 MiB that begin with a heap_info, whose first word points to the arena, and the
 * arena itself. What the fast lists keep counts as in use: it is small.
 *
 * What malloc_trim() would give back is counted, not guessed: pages that lie whole in free chunks
 * and are resident (/proc/PID/pagemap), but for the top of arenas other than the main one.
 */
#ifndef MEMHERD_AGENT_PYTHON_MALLOC_H
#define MEMHERD_AGENT_PYTHON_MALLOC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/check.h"

#define MALLOC_HEAP_MAX (UINT64_C(64) << 20) /* of an arena other than the main one */

struct malloc_heap {
	uint64_t chunks;
	uint64_t free_bytes; /* in free chunks and at the top */
	uint64_t gain_bytes; /* of those, resident in whole pages that a trim gives back */
};

/* Is there a heap of an arena at this address? Its size in use; ret_first: it is its arena's first
 * one. */
bool malloc_is_heap(pid_t pid, uint64_t address, uint64_t *ret_size, bool *ret_first);
/*
 * Walks the chunks from start to end: the main arena's [heap] or, with is_main false, one that
 * malloc_is_heap(), whose size is its end. Adds to ret. -EBADMSG: these are no chunks (another
 * allocator, or it changed under our eyes), -ESRCH, -EPERM, -ENOMEM; -EACCES without pagemap.
 */
int malloc_walk(pid_t pid, uint64_t start, uint64_t end, bool is_main,
		struct malloc_heap *ret) must_use;

#endif
