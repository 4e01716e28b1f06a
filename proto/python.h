/* SPDX-License-Identifier: Apache-2.0 */
/*
 * python.h - what an agent says of a process's interpreter beside its figures: whether it can be
 * read, and its version. The numbers are values of the metric python_state: rows are added at the
 * end, none is moved.
 */
#ifndef MEMHERD_PROTO_PYTHON_H
#define MEMHERD_PROTO_PYTHON_H

#include <stddef.h>
#include <stdint.h>

/* X(NAME, word, text): why no figure is told of a process. The words are REST's and the CLI's. */
#define PYTHON_STATE_LIST(X)                                                                      \
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

enum python_state {
#define X(NAME, word, text) PYTHON_##NAME,
	PYTHON_STATE_LIST(X)
#undef X
		PYTHON_STATES
};

/* NULL for a number that is none. */
const char *python_state_word(unsigned state);
const char *python_state_text(unsigned state);

#define PYTHON_VERSION_SIZE 24
/* PY_VERSION_HEX as people write it: '3.13.5', '3.15.0rc1', '3.9' where the rest is 0. Returns
 * out. */
const char *python_version_text(char out[PYTHON_VERSION_SIZE], uint32_t version);

#endif
