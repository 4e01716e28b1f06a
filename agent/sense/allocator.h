/* SPDX-License-Identifier: Apache-2.0 */
/*
 * allocator.h - which malloc a process uses, told from the names of the files it maps. Pure.
 */
#ifndef MEMHERD_AGENT_SENSE_ALLOCATOR_H
#define MEMHERD_AGENT_SENSE_ALLOCATOR_H

#include <stdbool.h>

#include "common/check.h"

/* maps: /proc/PID/maps (proc_pid_maps(5)), possibly cut. 'jemalloc', 'musl', 'glibc', or 'glibc
 * 2.31' where the file's name says so (up to 2.33 it did); false when none of them is mapped. */
bool allocator_name(char *out, size_t size, const char *maps, size_t len);

#endif
