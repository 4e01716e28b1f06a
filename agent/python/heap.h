/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap.h - where the resident memory of a Python process is, from /proc/PID/smaps alone: the parts
 * of proto/census.h. The C library's arenas and Python's are known by where they lie and how large
 * they are, so a mapping of the same form that somebody else made counts with them.
 *
 * proc(5) for smaps; glibc's malloc/arena.c: heaps of 64 MiB at multiples of it; CPython's
 * Objects/obmalloc.c: arenas of 256 KiB, from 3.10 on of 1 MiB.
 */
#ifndef MEMHERD_AGENT_PYTHON_HEAP_H
#define MEMHERD_AGENT_PYTHON_HEAP_H

#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "proto/census.h"

/*
 * Sets the parts that smaps tells, and leaves the others as they are. minor: 3.minor. Holds
 * up who maps memory meanwhile, for some milliseconds a GB. -ESRCH, -EACCES, -EFBIG.
 */
int heap_read(pid_t pid, unsigned minor, int64_t parts[HEAP_PART_COUNT],
	      struct error *err) must_use;

/* The pure part: text as the kernel writes it; what is no such line is passed over. */
void heap_parse(const char *text, unsigned minor, int64_t parts[HEAP_PART_COUNT]);

#endif
