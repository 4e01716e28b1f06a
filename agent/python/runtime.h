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

#define RUNTIME_MAX_INTERPRETERS 64u

/* X(NAME, word, text): why no figure is told of a process. The words are stable: they go over the
 * wire as numbers by their place, and into REST and the CLI as words. Added at the end only. */
#define RUNTIME_STATE_LIST(X)                                                                     \
	X(READABLE, readable, "its collector can be read")                                        \
	X(NOT_PYTHON, not_python, "no CPython in this process")                                   \
	X(STARTING, starting, "the interpreter has not started yet")                              \
	X(FINALIZING, finalizing, "the interpreter is shutting down")                             \
	X(TOO_OLD, too_old, "CPython before 3.8 is not read")                                     \
	X(UNKNOWN_VERSION, unknown_version, "this version of CPython is not known")               \
	X(UNKNOWN_LAYOUT, unknown_layout, "this build's structures are not as the version's are") \
	X(FREE_THREADED, free_threaded, "a free-threaded build keeps no lists to read")           \
	X(DEBUG_BUILD, debug_build, "a debug build has other object headers")                     \
	X(OTHER_PYTHON, other_python, "not CPython: PyPy or GraalPy")                             \
	X(DENIED, denied, "its memory may not be read")                                           \
	X(OTHER_MACHINE, other_machine, "a program for another machine or of 32 bits")            \
	X(GONE, gone, "the process has ended")

enum runtime_state {
#define X(NAME, word, text) RUNTIME_##NAME,
	RUNTIME_STATE_LIST(X)
#undef X
		RUNTIME_STATES
};

const char *runtime_state_word(unsigned state); /* NULL for none */
const char *runtime_state_text(unsigned state);

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
 * Looks at a process. RUNTIME_READABLE fills ret; any other state says why not, in err's words too
 * where err is not NULL. The maps may be NULL: they are then read.
 */
enum runtime_state runtime_find(pid_t pid, const struct maps *maps, struct runtime *ret,
				struct error *err) must_use;

#define RUNTIME_VERSION_SIZE 24
/* '3.13.5', '3.14.0rc1', or '3.9' where the micro is not known. Returns buf. */
char *runtime_version_text(const struct runtime *r, char buf[RUNTIME_VERSION_SIZE]);

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
