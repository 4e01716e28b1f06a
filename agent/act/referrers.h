/* SPDX-License-Identifier: Apache-2.0 */
/*
 * referrers.h - the action 'referrers': who holds the newest objects of a type in a Python process,
 * as chains of references from a module's name or a frame down to them (probe/referrers.py).
 */
#ifndef MEMHERD_AGENT_ACT_REFERRERS_H
#define MEMHERD_AGENT_ACT_REFERRERS_H

#include "agent/act/action.h"

/* o->text: the type. */
void referrers_run(const struct process *p, const struct action_order *o, struct command_result *r);

#endif
