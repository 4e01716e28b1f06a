/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.h - what this host lets memherd do, in a file that only root here can write. Nothing that
 * arrives over the network can widen it.
 *
 *	allow trim uid>=1000 exe=/usr/bin/python3* max=6/h cooldown=5min
 *	deny *
 *
 * max and cooldown hold for each process; for restart for each unit or container, or for each
 * program of a user in a cgroup: the process is another one each time. quiet, in the host's own
 * time, may go over midnight.
 *
 *	maintenance from=2026-12-01T04:00Z until=2026-12-01T06:00Z
 *
 * A line 'maintenance' denies all but dry runs between its times; without 'from' since ever,
 * without 'until' for ever.
 *
 * A line is a verdict, an action or '*' (on allow lines trim and census alone; what ends a process,
 * slows it down or runs code of ours in it must be named), and terms that must all hold; the first
 * line that matches decides and nothing matching denies. '=' takes a shell glob for exe, comm and
 * cgroup ('*' crosses '/'), a number for uid. A line 'shed' says how a service is asked (hook.h);
 *it allows nothing. Some processes, and some units, are denied before the file is asked. Pure, but
 *for policy_load.
 */
#ifndef MEMHERD_AGENT_ACT_POLICY_H
#define MEMHERD_AGENT_ACT_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/act/hook.h"
#include "agent/act/process.h"
#include "common/error.h"

/* X(NAME, word, help): what a term may speak of. */
#define POLICY_KEY_LIST(X)                                                                  \
	X(UID, uid, "effective user id, a number; =, >= or <=")                             \
	X(EXE, exe, "path of the program, glob")                                            \
	X(COMM, comm, "name of the process, glob")                                          \
	X(CGROUP, cgroup, "path of its cgroup, glob")                                       \
	X(CONTAINER, container, "yes: in another pid or user namespace; default no")        \
	X(SECCOMP, seccomp, "yes: also processes under a seccomp filter; default yes")      \
	X(UNIT, unit, "name of its systemd unit, glob")                                     \
	X(LOWER, lower, "on allow, oom-score: yes: also to less than it has; default no")   \
	X(BARE, bare, "yes: nobody is known to start it again; restart: default no")        \
	X(MAX, max, "on allow: how often per process, '6/h' or '1/d' ('min', 'h' or 'd')")  \
	X(COOLDOWN, cooldown, "on allow: rest between two, a duration")                     \
	X(SIGNED, signed, "on allow: yes: only with an operator's signature; not dry runs") \
	X(QUIET, quiet, "on allow: not in these hours of the host's clock, '22:00-06:00'")

struct policy;

struct policy_verdict {
	bool allowed;
	unsigned line; /* of the file, 0 when it was decided before or after it */
	unsigned max;  /* times per max_window_us, 0 = no bound */
	int64_t max_window_us;
	int64_t cooldown_us; /* 0 = none */
	bool lower;          /* an oom_score_adj may be lowered */
	bool signed_only;    /* with an operator's signature */
	int quiet_from;      /* minutes of the day; both the same = no quiet hours */
	int quiet_to;
	char why[256]; /* one clause: 'line 3: deny *' */
};

/* where names the source in messages, '/etc/memherd/policy'. A mistake is '-EINVAL' with
 * file:line. */
int policy_parse(const char *where, const char *text, struct policy **ret,
		 struct error *err) must_use;
/* Reads a file that must belong to root and be writable by nobody else. */
int policy_load(const char *path, struct policy **ret, struct error *err) must_use;
void policy_free(struct policy **p);

/* policy may be NULL: then only what is always denied is judged, and the rest is allowed. facts may
 * be NULL: an action on the whole host, to which no term about a process holds. */
void policy_judge(const struct policy *p, const char *action, const struct process *facts,
		  struct policy_verdict *ret);
/* -EPERM when one of its lines says that there is maintenance now (wall clock). Pure. */
int policy_maintenance(const struct policy *p, int64_t now_us, struct error *err) must_use;
/* How a process lets itself be asked to shed memory: the first 'shed' line whose terms hold.
 * -ENOENT. */
int policy_hook(const struct policy *policy, const struct process *facts,
		struct hook *ret) must_use;
/* Is that minute of the day one in which the line that allowed it wants quiet? Pure. */
bool policy_is_quiet(const struct policy_verdict *v, int minute);

#endif
