/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pools.h - Python's own allocator seen from outside: pools found by their headers, without
 *symbols.
 *
 * obmalloc cuts its arenas into pools that begin at multiples of the pool's size (4 KiB in 3.8 and
 * 3.9, 16 KiB since), each of blocks of one size. A header ties the size class to the last offset
 * at which a block can begin, so that other memory does not pass for one: Objects/obmalloc.c of
 * CPython 3.8 to 3.15, struct pool_header, 48 bytes on LP64:
 *
 *	0 count of blocks in use (u32) | 8 free list | 16, 24 neighbours | 32 arena (u32)
 *	36 size class (u32) | 40 offset of the next new block (u32) | 44 largest such offset (u32)
 */
#ifndef MEMHERD_AGENT_PYTHON_POOLS_H
#define MEMHERD_AGENT_PYTHON_POOLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/check.h"

#define POOLS_HEADER_SIZE 48u

struct pools {
	uint64_t count;
	uint64_t bytes;       /* of the pools that were found */
	uint64_t used_bytes;  /* blocks in use */
	uint64_t free_bytes;  /* blocks that were used and are free; whole free pools too */
	uint64_t fresh_bytes; /* at their ends, never used yet: not resident as a rule */
};

/* 4096 or 16384: by the minor version of CPython. */
uint32_t pools_size_of(unsigned minor);
/* Adds one to what was found when the header is one. */
bool pools_judge(const uint8_t header[POOLS_HEADER_SIZE], uint32_t pool_size, struct pools *ret);
/* Adds all pools between two addresses. Reads a header a pool; 0, -ESRCH, -EPERM; what is not
 * mapped is skipped. */
int pools_scan(pid_t pid, uint64_t start, uint64_t end, uint32_t pool_size,
	       struct pools *ret) must_use;

#endif
