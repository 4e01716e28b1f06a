/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script_action.h - what all actions that are a script in the target have in common: memory before
 * and after, what went wrong in words, the dry run.
 */
#ifndef MEMHERD_AGENT_ACT_SCRIPT_ACTION_H
#define MEMHERD_AGENT_ACT_SCRIPT_ACTION_H

#include "agent/act/action.h"
#include "agent/act/script.h"

struct script_action {
	const char *prelude; /* of struct script */
	const char *source;
	const char *args;
	const char *would; /* 'call gc.collect(2)': what a dry run says */
	int64_t start_us;  /* of struct script; 0 = its presets */
	int64_t run_us;
	const char *cost; /* what it costs the process, for the dry run */
};

/* True when the script ran and answered: then the sentence and the status are the caller's to set;
 * else both are set. */
bool script_act(const struct process *p, const struct action_order *o,
		const struct script_action *a, struct buf *answer, struct command_result *r);

#endif
