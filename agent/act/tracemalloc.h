/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tracemalloc.h - the action 'tracemalloc': which lines of a Python program allocated what is there
 * after some seconds and was not before. Two scripts (script.h): one begins the trace, one tells
 * and ends it; a thread in the target ends it should we not come back.
 */
#ifndef MEMHERD_AGENT_ACT_TRACEMALLOC_H
#define MEMHERD_AGENT_ACT_TRACEMALLOC_H

#include "agent/act/action.h"

/* Rows: lines of code, the one that grew most first, with who called them. */
void tracemalloc_run(const struct process *p, const struct action_order *o,
		     struct command_result *r);

/* Bytes and blocks in all, and what the trace itself took; false when not told. */
bool trace_total(const struct buf *answer, int64_t ret[3]);

#endif
