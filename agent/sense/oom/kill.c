/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/kill.h"

#include <string.h>

static const struct {
	const char *name;
	const char *help;
} scopes[] = {
#define X(NAME, name, help) {#name, help},
	OOM_SCOPE_LIST(X)
#undef X
};

static void absent(int64_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i] = METRIC_ABSENT;
}

void oom_kill_init(struct oom_kill *k)
{
	*k = (struct oom_kill){
		.pid = METRIC_ABSENT,
		.chosen_pid = METRIC_ABSENT,
		.trigger = {.pid = METRIC_ABSENT,
			    .order = METRIC_ABSENT,
			    .score_adj = METRIC_ABSENT},
		.usage = METRIC_ABSENT,
		.limit = METRIC_ABSENT,
		.failcnt = METRIC_ABSENT,
		.swap_usage = METRIC_ABSENT,
		.swap_limit = METRIC_ABSENT,
	};
	absent(k->victim, OOM_VICTIM_COUNT);
	absent(k->stat, OOM_STAT_COUNT);
	absent(k->host, OOM_HOST_COUNT);
}

void oom_kill_join(struct oom_kill *k, const struct oom_group *g)
{
	k->group_member = true;
	k->leader_seq = g->leader_seq;
	k->scope = g->scope;
	memcpy(k->limit_cgroup, g->limit_cgroup, sizeof(k->limit_cgroup));
}

void oom_kill_fini(struct oom_kill *k)
{
	free(take_ptr(k->tasks));
	k->n_tasks = 0;
}

const char *oom_scope_name(enum oom_scope scope)
{
	return scopes[scope].name;
}

const char *oom_scope_help(enum oom_scope scope)
{
	return scopes[scope].help;
}

int64_t oom_kill_rss(const struct oom_kill *k)
{
	static const enum oom_victim_figure parts[] = {OOM_VICTIM_ANON, OOM_VICTIM_FILE,
						       OOM_VICTIM_SHMEM};
	int64_t sum = METRIC_ABSENT;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		int64_t v = k->victim[parts[i]];

		if (v == METRIC_ABSENT)
			continue;
		if (__builtin_add_overflow(sum == METRIC_ABSENT ? 0 : sum, v, &sum))
			return METRIC_ABSENT;
	}
	return sum;
}

const struct oom_task *oom_kill_task(const struct oom_kill *k, int64_t pid)
{
	for (size_t i = 0; i < k->n_tasks; i++)
		if (k->tasks[i].v[OOM_TASK_PID] == pid || k->tasks[i].v[OOM_TASK_TGID] == pid)
			return &k->tasks[i];
	return NULL;
}

const struct oom_task *oom_kill_largest(const struct oom_kill *k)
{
	const struct oom_task *best = NULL;

	for (size_t i = 0; i < k->n_tasks; i++)
		if (!best || k->tasks[i].v[OOM_TASK_RSS] > best->v[OOM_TASK_RSS])
			best = &k->tasks[i];
	return best;
}
