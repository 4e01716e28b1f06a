/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gc.h - the actions on the garbage collector of a Python process, each a script (script.h) that
 * its main thread runs. A collection holds the GIL for as long as it takes.
 */
#ifndef MEMHERD_AGENT_ACT_GC_H
#define MEMHERD_AGENT_ACT_GC_H

#include "agent/act/action.h"

void gc_run(const struct process *p, const struct action_order *o, struct command_result *r);
void gc_threshold_run(const struct process *p, const struct action_order *o,
		      struct command_result *r);
void gc_freeze_run(const struct process *p, const struct action_order *o, struct command_result *r);
void gc_unfreeze_run(const struct process *p, const struct action_order *o,
		     struct command_result *r);

#endif
