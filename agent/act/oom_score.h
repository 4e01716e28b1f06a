/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oom_score.h - the action 'oom-score': a process's oom_score_adj, which says whom the kernel kills
 * first when memory runs out. Up with the policy's word; down only with its 'lower=yes'; never
 * -1000, which would exempt it. It stands until the process ends, or, with 'for', until the watcher
 * takes it back (leash.h).
 */
#ifndef MEMHERD_AGENT_ACT_OOM_SCORE_H
#define MEMHERD_AGENT_ACT_OOM_SCORE_H

#include "agent/act/action.h"

#define OOM_SCORE_FILE       "oom_score_adj"
#define OOM_SCORE_PLACE_SIZE 64

/* Places of its parameters. */
enum oom_score_param { OOM_SCORE_VALUE, OOM_SCORE_TTL };

/* -EPERM with the reason: it has that already, or less without leave. Pure. */
int oom_score_check(int64_t before, int64_t wanted, bool may_lower, struct error *err) must_use;

/* A process whose id may since have been given to another: '/proc/PID@START'. */
void oom_score_place(char out[OOM_SCORE_PLACE_SIZE], pid_t pid, uint64_t start_ticks);
/* Of a place. -ESRCH: that process is gone; -EBADMSG: no place. */
int oom_score_read(const char *place, int64_t *ret, struct error *err) must_use;
int oom_score_write(const char *place, int64_t value, struct error *err) must_use;

void oom_score_run(const struct process *p, const struct action_order *o, struct command_result *r);

#endif
