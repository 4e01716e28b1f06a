/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/action.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/act/census.h"
#include "agent/act/drop_caches.h"
#include "agent/act/gc.h"
#include "agent/act/limit.h"
#include "agent/act/oom_score.h"
#include "agent/act/reclaim.h"
#include "agent/act/referrers.h"
#include "agent/act/restart.h"
#include "agent/act/shed.h"
#include "agent/act/sizes.h"
#include "agent/act/tracemalloc.h"
#include "agent/act/trim.h"
#include "common/str.h"

static const struct action actions[] = {
	{COMMAND_TRIM, "trim", "give free heap pages back, by malloc_trim(0) in the process",
	 trim_run, 0},
	{COMMAND_RESTART, "restart",
	 "have it started again by its server's master, its supervisor or its parent", restart_run,
	 0},
	{COMMAND_GC, "gc", "gc.collect() in a Python process", gc_run, 0},
	{COMMAND_GC_THRESHOLD, "gc-threshold", "gc.set_threshold() in a Python process",
	 gc_threshold_run, 0},
	{COMMAND_GC_FREEZE, "gc-freeze", "gc.freeze(): what is there is collected no more",
	 gc_freeze_run, 0},
	{COMMAND_GC_UNFREEZE, "gc-unfreeze", "gc.unfreeze() in a Python process", gc_unfreeze_run,
	 0},
	{COMMAND_LIMIT, "limit", "limit the memory of its cgroup for a time", limit_run, 0},
	{COMMAND_TRACEMALLOC, "tracemalloc", "which lines of a Python program allocate what stays",
	 tracemalloc_run, 0},
	{COMMAND_REFERRERS, "referrers",
	 "who holds the newest objects of a type in a Python process", referrers_run, 0},
	{COMMAND_SIZES, "sizes", "which containers hold most in a Python process", sizes_run, 0},
	{COMMAND_CENSUS, "census", "count the objects of a Python process by type", census_run, 0},
	{COMMAND_RECLAIM, "reclaim", "have the kernel take memory from its cgroup now", reclaim_run,
	 0},
	{COMMAND_DROP_CACHES, "drop-caches", "throw the host's caches away, once an hour at most",
	 drop_caches_run, DROP_CACHES_REST_US},
	{COMMAND_OOM_SCORE, "oom-score", "who is killed first: set its oom_score_adj",
	 oom_score_run, 0},
	{COMMAND_SHED, "shed", "ask it to shed memory by the hook that the policy names", shed_run,
	 0},
};

const struct action *action_at(size_t i)
{
	return i < ARRAY_SIZE(actions) ? &actions[i] : NULL;
}

const struct action *action_find(enum command_action number)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (actions[i].number == number)
			return &actions[i];
	return NULL;
}

const struct action *action_find_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (strcmp(actions[i].name, name) == 0)
			return &actions[i];
	return NULL;
}

enum census_reason action_reason(const struct action_order *o)
{
	if (o->by_hand)
		return CENSUS_REASON_BY_HAND;
	return str_starts(o->actor, "rule:") ? CENSUS_REASON_RULE : CENSUS_REASON_ASKED;
}

void action_say(struct command_result *r, enum command_status status, const char *fmt, ...)
{
	va_list ap;

	r->status = status;
	va_start(ap, fmt);
	vsnprintf(r->detail, sizeof(r->detail), fmt, ap);
	va_end(ap);
}
