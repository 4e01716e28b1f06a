/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trim.h - the action 'trim': looks whether the process can be trimmed, measures, has one of its
 * threads call malloc_trim(0) (inject/), measures again.
 */
#ifndef MEMHERD_AGENT_ACT_TRIM_H
#define MEMHERD_AGENT_ACT_TRIM_H

#include "agent/act/action.h"
#include "agent/act/process.h"
#include "proto/command.h"

/* -ENOTSUP with the reason when this kind of process is not to be trimmed. */
int trim_check(const struct process *p, struct error *err) must_use;
void trim_run(const struct process *p, const struct action_order *o, struct command_result *ret);

#endif
