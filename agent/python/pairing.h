/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pairing.h - makes collections of the beginnings and ends that one thread's probes told, in their
 * order. Pure.
 *
 * The stack tells frames apart: a call is over when its thread begins another at the same place of
 * the stack or above. Its end was then not seen and it has no duration.
 */
#ifndef MEMHERD_AGENT_PYTHON_PAIRING_H
#define MEMHERD_AGENT_PYTHON_PAIRING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"

#define PAIRING_DEPTH 4 /* a finalizer that collects, and in it once more, ... */

struct pause {
	int64_t start_ns;    /* CLOCK_MONOTONIC */
	int64_t duration_ns; /* -1 = its end was not seen */
	int64_t collected;   /* objects, those that could not be freed included; -1 = unknown */
	int32_t tid;
	int8_t generation; /* -1 = unknown */
};

struct pairing {
	struct {
		struct pause pause;
		uint64_t sp;
		bool doubtful; /* its end may have been before anyone looked there */
	} open[PAIRING_DEPTH];
	unsigned depth;
};

#define PAIRING_ANY_FRAME UINT64_MAX

/* Begins one. The count of the ones that this shows to have ended unseen, the outermost first in
 * ret; nested ones are no collections of their own and are not told. */
unsigned pairing_start(struct pairing *p, int64_t t_ns, int32_t tid, uint64_t sp, int generation,
		       struct pause ret[1]);
/* Ends the one whose frame's stack pointer was sp, or (PAIRING_ANY_FRAME) the latest. True when ret
 * is a collection; a nested one is not. */
bool pairing_done(struct pairing *p, int64_t t_ns, uint64_t sp, int64_t collected,
		  struct pause *ret);
/* The one that began last: its end may not be seen. */
void pairing_doubt(struct pairing *p);
/* After records were lost: nothing that is open can be trusted. */
void pairing_reset(struct pairing *p);

#endif
