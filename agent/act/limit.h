/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limit.h - the action 'limit': a limit on the memory of a process's cgroup, for a time. 'high'
 * (v2) has the kernel reclaim and slow down what is above it, 'max' has it kill. It is taken back
 * when its time is over, when it throttles instead of helping, and when memherd-actd ends (leash.h,
 * watch.h).
 */
#ifndef MEMHERD_AGENT_ACT_LIMIT_H
#define MEMHERD_AGENT_ACT_LIMIT_H

#include "agent/act/action.h"
#include "agent/act/cgroup.h"

/* Places of its parameters. */
enum limit_param { LIMIT_BYTES, LIMIT_TTL, LIMIT_KIND };
enum limit_kind { LIMIT_HIGH, LIMIT_MAX };

/* -EPERM with the reason: below what the cgroup works with, or nothing could be reclaimed. Pure. */
int limit_check(const struct cgroup_figures *f, int64_t bytes, struct error *err) must_use;
void limit_run(const struct process *p, const struct action_order *o, struct command_result *r);

#endif
