/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failpoint.h - named places at which a fault test makes the program sleep, die or fail.
 *
 * Only a build with MEMHERD_FAILPOINTS (make VARIANT=fault) has them; in every other build the
 * macros are constants and nothing of this is in the program. There the environment says what
 * happens where, once for the life of the process:
 *
 *	MEMHERD_FAILPOINTS='store.commit=sleep(30)@20%;store.committed=kill@3;seal.reply=error(115)'
 *
 * Actions: sleep(MS), kill (SIGKILL to itself), exit (status 70), abort, error(ERRNO). Behind '@':
 * N, the N-th time only; P%, each time with that probability; nothing, each time.
 *
 * MEMHERD_MUTANT names what is broken on purpose ('ack_first', 'no_dedupe'): a test that finds
 * nothing in such a program is itself broken.
 */
#ifndef MEMHERD_COMMON_FAILPOINT_H
#define MEMHERD_COMMON_FAILPOINT_H

#include <stdbool.h>

#ifdef MEMHERD_FAILPOINTS

/* 0, or -errno where the action is an error. What the environment says and is wrong ends the
 * program (status 70) and names it: a test must not run without its faults. */
int failpoint_hit(const char *name);
bool failpoint_mutant(const char *name);

/* An expression: 0 or -errno. */
#define FAILPOINT_RC(name) failpoint_hit(name)
#define FAILPOINT(name)    ((void)failpoint_hit(name))
#define MUTANT(name)       failpoint_mutant(name)

#else

#define FAILPOINT_RC(name) 0
#define FAILPOINT(name)    ((void)0)
#define MUTANT(name)       false

#endif

#endif
