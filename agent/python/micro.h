/* SPDX-License-Identifier: Apache-2.0 */
/*
 * micro.h - the whole version of a CPython 3.8 to 3.10, which exports none: the text that
 * sys.version begins with stands among the constants of the object. Only told to people, so a
 * forged one does no harm.
 */
#ifndef MEMHERD_AGENT_PYTHON_MICRO_H
#define MEMHERD_AGENT_PYTHON_MICRO_H

#include <stdint.h>
#include <sys/types.h>

#include "agent/python/maps.h"
#include "common/check.h"

#define MICRO_MAX_BYTES (8u << 20) /* that are searched; a CPython's constants are 1 to 3 MiB */

/* '3.9.2' as PY_VERSION_HEX in the mappings of map's file that are not written to; -ENOENT. */
int micro_find(pid_t pid, const struct maps *maps, const struct map *map, unsigned minor,
	       uint32_t *ret_version) must_use;

/* The first such text among bytes, by a NUL or '/' before it and a NUL after; -ENOENT. Pure. */
int micro_parse(const uint8_t *bytes, size_t n, unsigned minor, uint32_t *ret_version) must_use;

#endif
