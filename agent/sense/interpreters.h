/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interpreters.h - the interpreters that are told by themselves: of processes that have more than
 * one. Gives each an id of the stream for as long as it is there, and puts into a tick who is new,
 * who went, and what each one's collector did.
 *
 * At most INTERPRETERS_MAX on a host: of the others the sums of their processes are told. An entry
 * is known by its process's slot and start time and Python's own number. Owned by the ticker.
 */
#ifndef MEMHERD_AGENT_SENSE_INTERPRETERS_H
#define MEMHERD_AGENT_SENSE_INTERPRETERS_H

#include "agent/sense/pythons.h"
#include "proto/delta.h"

#define INTERPRETERS_MAX WIRE_MAX_INTERPRETERS

struct interpreter_place {
	struct python_interpreter *of; /* of this round; NULL = it went */
	uint32_t process;              /* slot of its process */
	uint64_t start_ticks;
	int64_t number;
	bool used;
	bool told;
};

struct interpreters {
	struct interpreter_place places[INTERPRETERS_MAX];
	uint32_t high; /* those in use are below */
	uint32_t more; /* that found no place in this round; logged when it begins */
};

/* All must be told again. */
void interpreters_forget(struct interpreters *ix);
/* After pythons_round() and after the tick's births: what tick says of them, but their figures. */
int interpreters_tell(struct interpreters *ix, struct pythons *ps, struct proctab *tab,
		      struct arena *a, struct wire_tick *tick) must_use;
/* The figures of those that were told. */
void interpreters_encode(const struct interpreters *ix, struct delta_encoder *e);

#endif
