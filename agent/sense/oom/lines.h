/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lines.h - single lines of a kernel OOM report, each taken apart by a pure function that says
 * whether the text is such a line. report.c calls them in the order of a report; the formats of all
 * versions stand here and in figures.h. A comm may hold any byte and looks like syntax when its
 * owner wants it to: it is at most 15 bytes, and what follows it is searched from the right.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_LINES_H
#define MEMHERD_AGENT_SENSE_OOM_LINES_H

#include "agent/sense/oom/kill.h"
#include "agent/sense/oom/text.h"

/* 'COMM invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0'. Leaves pid. */
bool line_invoked(struct text t, struct oom_trigger *ret);
/* 'CPU: 1 UID: 0 PID: 9 Comm: COMM ..', without UID before 6.12; 'Pid: 9, comm: COMM ..' in 2.6 and
 * up to 3.8. Only when COMM is comm. */
bool line_cpu(struct text t, const char *comm, int64_t *ret_pid);

/* 'memory: usage 1kB, limit 2kB, failcnt 3' and its kin with another word before ': usage'. */
struct line_usage {
	int64_t usage;
	int64_t limit;
	int64_t failcnt;
};
bool line_usage(struct text t, const char *what, struct line_usage *ret);

/* 'Task in /A killed as a result of limit of /B' (before 5.0). */
bool line_task_in(struct text t, struct text *ret_task, struct text *ret_limit);
/* 'Memory limit reached of cgroup /B': the same without a victim (4.10 to 4.20). */
bool line_limit_reached(struct text t, struct text *ret_limit);

/*
 * 'oom-kill:constraint=..,..,oom_memcg=/B,task_memcg=/A,task=COMM,pid=P,uid=U' (from 5.0), or
 * ',global_oom,task_memcg=..'. The middle holds two paths and a comm, all chosen by strangers: it
 * is only split once the kill line has told the comm.
 */
struct line_oom {
	struct text constraint;
	struct text middle;
	int64_t pid;
	int64_t uid; /* METRIC_ABSENT when the record was cut before it */
};
bool line_oom(struct text t, struct line_oom *ret);
/* memcg: the constraint is a cgroup's. A path that cannot be told stays an empty text. */
void line_oom_split(struct text middle, bool memcg, const char *comm, struct text *ret_limit,
		    struct text *ret_task);

/* '<prefix>: Kill process P (COMM) score S or sacrifice child' (before 5.3). */
bool line_chosen(struct text t, enum oom_scope *ret_scope, int64_t *ret_pid);
/*
 * '[<prefix>: ]Killed process P (COMM) total-vm:..kB, ..'; Red Hat's ', UID U,' before or behind
 * '(COMM)'; without figures in 2.6. Scope is UNKNOWN without a prefix. victim figures as printed.
 */
struct line_kill {
	enum oom_scope scope;
	bool prefixed;
	int64_t pid;
	struct text comm;
	int64_t victim[OOM_VICTIM_COUNT];
};
bool line_kill(struct text t, struct line_kill *ret);

/* 'Tasks in /A are going to be killed due to memory.oom.group set' */
bool line_group(struct text t, struct text *ret_cgroup);
/* 'oom_reaper: reaped process P (COMM), now anon-rss:..' */
bool line_reaped(struct text t, int64_t *ret_pid, struct text *ret_comm);
/* 'OOM victim P (COMM) is already exiting. Skip killing the task' */
bool line_exiting(struct text t, int64_t *ret_pid, struct text *ret_comm);
/* 'Out of memory and no killable processes...', with or without a panic before it. */
bool line_no_victim(struct text t);
/* 'COMM[P]: segfault at ..', 'traps: COMM[P] general protection ..', 'COMM[P]: unhandled ..' */
bool line_crash(struct text t, int64_t *ret_pid, struct text *ret_comm);

#endif
