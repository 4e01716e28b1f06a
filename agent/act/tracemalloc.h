/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tracemalloc.h - the action 'tracemalloc': which lines of a Python program allocated what is there
 * after some seconds and was not before. Two scripts (script.h): one begins the trace, one tells
 * and ends it; a thread in the target ends it should we not come back.
 */
#ifndef MEMHERD_AGENT_ACT_TRACEMALLOC_H
#define MEMHERD_AGENT_ACT_TRACEMALLOC_H

#include "agent/act/action.h"

/* o->body gets the answer's lines: 'total' (bytes, blocks, the trace's own bytes), then for each
 * line of code 'site' (bytes and blocks more, bytes and blocks in all, FILE:LINE), the one that
 * grew most first, and 'back' (who called it, innermost first). */
void tracemalloc_run(const struct process *p, const struct action_order *o,
		     struct command_result *r);

struct trace_site {
	int64_t grew; /* bytes */
	int64_t more; /* blocks */
	int64_t size;
	int64_t count;
	char place[256];
	char back[1024]; /* "" = not known */
};
/* The next site of an answer, from *at on (NULL at first); false after the last. The text is the
 * target's: what is not well formed is passed over. Pure. */
bool trace_next(const struct buf *answer, const char **at, struct trace_site *ret);
/* Bytes and blocks in all, and what the trace itself took; false when not told. */
bool trace_total(const struct buf *answer, int64_t ret[3]);

#endif
