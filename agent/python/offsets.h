/* SPDX-License-Identifier: Apache-2.0 */
/*
 * offsets.h - _Py_DebugOffsets, with which CPython from 3.13 on tells where its own structures keep
 * what a debugger needs: 64-bit words at the start of _PyRuntime, in an order of each version's
 * own. They tell where the collector is and how large, not what is in it; layout.h has that.
 */
#ifndef MEMHERD_AGENT_PYTHON_OFFSETS_H
#define MEMHERD_AGENT_PYTHON_OFFSETS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/python/layout.h"
#include "common/check.h"

struct offsets {
	uint32_t version; /* PY_VERSION_HEX */
	bool free_threaded;
	uint32_t finalizing;
	uint32_t interpreters_head;
	uint32_t id;
	uint32_t next;
	uint32_t threads_head;
	uint32_t gc;
	uint32_t thread_next;
	uint32_t thread_id;
	uint32_t native_thread_id;
	uint32_t gc_size;
	uint32_t gc_collecting;
	uint32_t stats_size; /* 3.15 */
	uint32_t stats;
};

/* The block at an address. -ENOENT: none there; -ENOTSUP: of a version whose order is not known
 * (version and free_threaded are filled); -EBADMSG: an offset that cannot be; as memory_read(). */
int offsets_read(pid_t pid, uint64_t address, struct offsets *ret) must_use;
/* Whether a row is of this build: version, size of the collector and what it tells inside it. */
bool offsets_match(const struct offsets *o, const struct layout *row);
/* Puts the program's own offsets into a row that matches. */
void offsets_apply(const struct offsets *o, struct layout *row);

#endif
