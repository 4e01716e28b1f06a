/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sizes.h - the action 'sizes': which containers of a Python process hold most, with all that they
 * alone lead to, and who holds them (probe/sizes.py).
 */
#ifndef MEMHERD_AGENT_ACT_SIZES_H
#define MEMHERD_AGENT_ACT_SIZES_H

#include "agent/act/action.h"

void sizes_run(const struct process *p, const struct action_order *o, struct command_result *r);

#endif
