/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap.h - where the memory of a process is: its mappings sorted into the parts of proto/census.h.
 *
 * From /proc/PID/smaps (which walks the page tables: milliseconds for a large process) and
 * /proc/PID/status, and where the allocators' own structures may be read, from those (malloc.h,
 * pools.h). rss, file, shmem, swap and page tables are the kernel's figures; anonymous memory is
 * split, first match wins: stacks, the C library's heap and arenas, Python's pools, native.
 * What could not be had is HEAP_ABSENT. The process runs on meanwhile.
 */
#ifndef MEMHERD_AGENT_PYTHON_HEAP_H
#define MEMHERD_AGENT_PYTHON_HEAP_H

#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "proto/census.h"

/* Bytes of anonymous memory whose pools and chunks are read; beyond it those parts are absent. */
#define HEAP_READ_MAX (UINT64_C(8) << 30)

/* minor: of CPython, 3.minor; -1 = none, or not known: then there are no pools. -ESRCH, -EPERM or
 * what else kept smaps from being read. OBJECTS stays absent: a census tells it. */
int heap_read(pid_t pid, int minor, int64_t parts[HEAP_PART_COUNT], struct error *err) must_use;

#endif
