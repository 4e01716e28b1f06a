/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shed.h - the action 'shed': asks a service to give memory back itself (clear its caches, take
 * less work) by the hook that the host's policy names for it (hook.h), and measures what came of
 * it. A signal only goes to a program that has a handler for it: any other would be ended by it.
 */
#ifndef MEMHERD_AGENT_ACT_SHED_H
#define MEMHERD_AGENT_ACT_SHED_H

#include "agent/act/action.h"

void shed_run(const struct process *p, const struct action_order *o, struct command_result *r);

#endif
