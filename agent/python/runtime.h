/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime.h - finds the CPython interpreter in a running process, without stopping it.
 *
 * Where _PyRuntime is comes from the dynamic symbols that the process itself has mapped (or, for
 * builds that do not export it, from the file). Which layout it has comes from the program's
 * version and, from 3.13, its own debug offsets, and nothing is believed before the structures
 * check out: back pointers, list heads, ranges. What is found is valid for one life of one
 * program: the caller keeps it with pid and start time and looks again after an exec.
 */
#ifndef MEMHERD_AGENT_PYTHON_RUNTIME_H
#define MEMHERD_AGENT_PYTHON_RUNTIME_H

#include <stdint.h>
#include <sys/types.h>

#include "agent/python/layout.h"
#include "agent/python/maps.h"
#include "common/error.h"
#include "proto/python.h"

#define RUNTIME_MAX_INTERPRETERS 64u

struct runtime {
	pid_t pid;
	uint64_t address; /* of _PyRuntime in the process */
	uint32_t version; /* as PY_VERSION_HEX, 0x030d05f0; the micro is 0 where not known */
	bool micro_known; /* version has its micro */
	bool incremental; /* 3.14.0 to 3.14.4: collections are increments, generation 2 means little
			   */
	struct layout layout; /* the row, with what the program's own debug offsets corrected */
	uint64_t image;       /* where the object that holds it is mapped from */
	char file[64];        /* last part of its path, safe to print */
};

/*
 * Looks at a process. PYTHON_READABLE fills ret; any other state says why not, in err's words too
 * where err is not NULL. The maps may be NULL: they are then read.
 */
enum python_state runtime_find(pid_t pid, const struct maps *maps, struct runtime *ret,
			       struct error *err) must_use;

/*
 * The addresses of the interpreters, the main one first; at most max and RUNTIME_MAX_INTERPRETERS.
 * 3.8 has one collector for all of them: only the main one is told, so that nothing counts twice.
 * The count, at least 1, or -EFAULT, -ESRCH, -EPERM, -ELOOP (a ring), -EBADMSG (not interpreters of
 * this runtime; one that ends just now may be the cause).
 */
int runtime_interpreters(const struct runtime *r, uint64_t *ret, unsigned max) must_use;
/* The address of an interpreter's collector (3.8: the one of all). */
uint64_t runtime_gc(const struct runtime *r, uint64_t interpreter);

#endif
