/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/lines.h"

/* TASK_COMM_LEN - 1: a longer 'comm' in a place where a path may stand is no comm. */
#define COMM_MAX 15

bool line_invoked(struct text t, struct oom_trigger *ret)
{
	struct text comm;
	struct text rest;
	struct text gfp;

	if (!text_cut_last(t, " invoked oom-killer: gfp_mask=", &comm, &rest))
		return false;
	text_copy(ret->comm, sizeof(ret->comm), comm);
	if (!text_cut(rest, ", ", &gfp, NULL))
		gfp = rest;
	text_copy(ret->gfp, sizeof(ret->gfp), gfp);
	ret->order = text_value(rest, "order=");
	ret->score_adj = text_value(rest, "oom_score_adj=");
	return true;
}

bool line_cpu(struct text t, const char *comm, int64_t *ret_pid)
{
	int64_t skip;
	int64_t pid;

	if (text_skip(&t, "CPU: ")) {
		if (!text_number(&t, &skip))
			return false;
		if (text_skip(&t, " UID: ") && !text_number(&t, &skip))
			return false;
		if (!text_skip(&t, " PID: ") || !text_number(&t, &pid) || !text_skip(&t, " Comm: "))
			return false;
	} else if (!text_skip(&t, "Pid: ") || !text_number(&t, &pid) ||
		   !text_skip(&t, ", comm: ")) {
		return false;
	}
	if (!text_skip(&t, comm) || !text_starts(t, " "))
		return false;
	*ret_pid = pid;
	return true;
}

bool line_usage(struct text t, const char *what, struct line_usage *ret)
{
	struct line_usage u;

	if (!text_skip(&t, what) || !text_skip(&t, ": usage ") || !text_number(&t, &u.usage) ||
	    !text_skip(&t, "kB, limit ") || !text_number(&t, &u.limit) ||
	    !text_skip(&t, "kB, failcnt ") || !text_number(&t, &u.failcnt))
		return false;
	*ret = u;
	return true;
}

/* The cgroup whose limit was hit holds the one of the task: that tells where one path ends. */
static bool holds(struct text limit, struct text task)
{
	if (!limit.len || !task.len || *limit.p != '/' || *task.p != '/')
		return false;
	if (limit.len == 1)
		return true;
	return task.len >= limit.len && memcmp(task.p, limit.p, limit.len) == 0 &&
	       (task.len == limit.len || task.p[limit.len] == '/');
}

bool line_task_in(struct text t, struct text *ret_task, struct text *ret_limit)
{
	static const char words[] = " killed as a result of limit of ";
	struct text rest = t;

	if (!text_skip(&rest, "Task in "))
		return false;
	t = rest;
	while (text_cut(rest, words, NULL, &rest)) {
		struct text task = text_of(t.p, t.len - rest.len - strlen(words));

		if (!holds(rest, task))
			continue;
		*ret_task = task;
		*ret_limit = rest;
		return true;
	}
	return false;
}

bool line_limit_reached(struct text t, struct text *ret_limit)
{
	if (!text_skip(&t, "Memory limit reached of cgroup "))
		return false;
	*ret_limit = t;
	return true;
}

bool line_oom(struct text t, struct line_oom *ret)
{
	struct line_oom l = {.uid = METRIC_ABSENT};
	struct text number;

	if (!text_skip(&t, "oom-kill:constraint=") || !text_cut(t, ",", &l.constraint, &t))
		return false;
	if (text_cut_last(t, ",uid=", &l.middle, &number) && text_number(&number, &l.uid) &&
	    !number.len)
		t = l.middle;
	else
		l.uid = METRIC_ABSENT;
	if (!text_cut_last(t, ",pid=", &l.middle, &number) || !text_number(&number, &l.pid) ||
	    number.len)
		return false;
	*ret = l;
	return true;
}

/* Takes ',task=COMM' off the end: COMM as the kill line has it, else the longest that can be one.
 */
static struct text without_task(struct text middle, const char *comm)
{
	size_t n = strlen(comm) + strlen(",task=");
	struct text at = middle;

	if (middle.len >= n && memcmp(middle.p + middle.len - n, ",task=", 6) == 0 &&
	    memcmp(middle.p + middle.len - n + 6, comm, n - 6) == 0)
		return text_of(middle.p, middle.len - n);
	while (text_cut(at, ",task=", NULL, &at))
		if (at.len <= COMM_MAX)
			return text_of(middle.p, middle.len - at.len - strlen(",task="));
	return middle;
}

void line_oom_split(struct text middle, bool memcg, const char *comm, struct text *ret_limit,
		    struct text *ret_task)
{
	struct text none = text_of("", 0);
	struct text limit = without_task(middle, comm);
	struct text task;

	*ret_limit = none;
	*ret_task = none;
	if (!memcg) {
		(void)text_cut(limit, ",global_oom,task_memcg=", NULL, ret_task);
		return;
	}
	while (text_cut(limit, ",oom_memcg=", NULL, &limit)) {
		task = limit;
		while (text_cut(task, ",task_memcg=", NULL, &task)) {
			struct text path =
				text_of(limit.p, limit.len - task.len - strlen(",task_memcg="));

			if (!holds(path, task))
				continue;
			*ret_limit = path;
			*ret_task = task;
			return;
		}
	}
}

static bool skip_prefix(struct text *t, enum oom_scope *ret)
{
	static const struct {
		const char *prefix;
		enum oom_scope scope;
	} rows[] = {
		{"Memory cgroup out of memory: ", OOM_SCOPE_MEMCG},
		{"Out of memory: ", OOM_SCOPE_GLOBAL},
		{"Out of memory (oom_kill_allocating_task): ", OOM_SCOPE_ALLOCATING},
		/* Before 2.6.36. */
		{"No available memory (MPOL_BIND): ", OOM_SCOPE_MEMPOLICY},
		{"No available memory in cpuset: ", OOM_SCOPE_CPUSET},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!text_skip(t, rows[i].prefix))
			continue;
		*ret = rows[i].scope;
		return true;
	}
	*ret = OOM_SCOPE_UNKNOWN;
	return false;
}

bool line_chosen(struct text t, enum oom_scope *ret_scope, int64_t *ret_pid)
{
	enum oom_scope scope;
	int64_t pid;

	if (!skip_prefix(&t, &scope) ||
	    (!text_skip(&t, "Kill process ") && !text_skip(&t, "kill process ")) ||
	    !text_number(&t, &pid) || !text_starts(t, " (") ||
	    !text_cut_last(t, ") score ", NULL, NULL))
		return false;
	*ret_scope = scope;
	*ret_pid = pid;
	return true;
}

/* What stands behind 'Killed process P', into the name and the text of figures. */
static bool kill_parts(struct text t, struct line_kill *l, struct text *ret_figures)
{
	struct text figures = text_of("", 0);

	if (text_skip(&t, ", UID ")) {
		if (!text_number(&t, &l->victim[OOM_VICTIM_UID]) || !text_skip(&t, ","))
			return false;
	}
	if (!text_skip(&t, " ("))
		return false;
	if (text_cut_last(t, "), UID ", &l->comm, &figures)) {
		if (!text_number(&figures, &l->victim[OOM_VICTIM_UID]))
			return false;
	} else if (text_cut_last(t, ") total-vm:", &l->comm, NULL) ||
		   text_cut_last(t, ") vsz:", &l->comm, NULL)) {
		figures = text_of(l->comm.p + l->comm.len, t.len - l->comm.len);
	} else if (t.len && t.p[t.len - 1] == ')') {
		l->comm = text_of(t.p, t.len - 1);
	} else {
		return false;
	}
	*ret_figures = figures;
	return true;
}

bool line_kill(struct text t, struct line_kill *ret)
{
	static const char *const keys[] = {
#define X(NAME, key) key,
		OOM_VICTIM_LIST(X)
#undef X
	};
	struct line_kill l = {.prefixed = false};
	struct text figures;

	for (int i = 0; i < OOM_VICTIM_COUNT; i++)
		l.victim[i] = METRIC_ABSENT;
	l.prefixed = skip_prefix(&t, &l.scope);
	if (!text_skip(&t, "Killed process ") || !text_number(&t, &l.pid) ||
	    !kill_parts(t, &l, &figures))
		return false;
	for (int i = 0; i < OOM_VICTIM_COUNT; i++) {
		int64_t v = text_value(figures, keys[i]);

		if (v != METRIC_ABSENT)
			l.victim[i] = v;
	}
	*ret = l;
	return true;
}

bool line_group(struct text t, struct text *ret_cgroup)
{
	return text_skip(&t, "Tasks in ") &&
	       text_cut_last(t, " are going to be killed due to memory.oom.group set", ret_cgroup,
			     NULL);
}

/* 'P (COMM)' and then what must follow. */
static bool named(struct text t, const char *after, int64_t *ret_pid, struct text *ret_comm)
{
	return text_number(&t, ret_pid) && text_skip(&t, " (") &&
	       text_cut_last(t, after, ret_comm, NULL);
}

bool line_reaped(struct text t, int64_t *ret_pid, struct text *ret_comm)
{
	return text_skip(&t, "oom_reaper: reaped process ") &&
	       named(t, "), now anon-rss:", ret_pid, ret_comm);
}

bool line_exiting(struct text t, int64_t *ret_pid, struct text *ret_comm)
{
	return text_skip(&t, "OOM victim ") &&
	       named(t, ") is already exiting. Skip killing the task", ret_pid, ret_comm);
}

bool line_no_victim(struct text t)
{
	(void)text_skip(&t, "Kernel panic - not syncing: ");
	return text_starts(t, "Out of memory and no killable processes...");
}

bool line_crash(struct text t, int64_t *ret_pid, struct text *ret_comm)
{
	static const char *const marks[] = {"]: segfault at ", "]: unhandled ",
					    "] general protection", "] trap "};
	struct text who = t;
	struct text number;
	bool trap = text_skip(&t, "traps: ");
	bool found = false;

	for (size_t i = trap ? 2 : 0; i < (trap ? 4 : 2) && !found; i++)
		found = text_cut_last(t, marks[i], &who, NULL);
	if (!found || !text_cut_last(who, "[", ret_comm, &number) || ret_comm->len > COMM_MAX)
		return false;
	return text_number(&number, ret_pid) && !number.len;
}
