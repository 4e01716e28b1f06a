/* SPDX-License-Identifier: Apache-2.0 */
/*
 * candidates.h - which of the objects that a process has mapped may hold a CPython interpreter,
 * judged by names alone: libpython first, then the program itself, then what else is called so.
 * Names are the target's choice; they only decide where to look first, and what to say when
 * nothing is found.
 */
#ifndef MEMHERD_AGENT_PYTHON_CANDIDATES_H
#define MEMHERD_AGENT_PYTHON_CANDIDATES_H

#include <stdbool.h>
#include <sys/types.h>

#include "agent/python/maps.h"

#define CANDIDATES_MAX 16u

/* What a file's name tells: 'libpython3.8d.so.1.0', 'python3.13t', 'python2.7'. */
struct python_name {
	bool is_python;
	bool other;      /* PyPy or GraalPy */
	int major;       /* -1 = does not say */
	int minor;       /* -1 = does not say */
	bool debug;      /* an ABI flag of it, or Debian's '-dbg' */
	bool threadfree; /* ABI flag t: without the GIL */
};

struct candidate {
	const struct map *map; /* of file offset 0 */
	bool is_program;       /* what was executed */
	bool is_library;       /* libpython3.x */
	struct python_name name;
};

struct python_name python_name_parse(const char *path);

/* The count, best first. The program is told by /proc/PID/exe. */
unsigned candidates_list(pid_t pid, const struct maps *maps, struct candidate ret[CANDIDATES_MAX]);

/* The minor version that the mapped extension modules are of ('.cpython-310-', '/python3.10/'), or
 * -1. */
int candidates_hint(const struct maps *maps);

#endif
