/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/policy.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/act/policy_line.h"

/*
 * Never to be touched, whatever the file says: what the host or the way into it hangs on.
 * comm can be set by the process itself, so these only ever deny.
 */
static const char *const denied_comms[] = {
	"systemd*", "(sd-*", "init",    "sshd*",     "dbus-*",      "*udevd",  "agetty",
	"getty",    "login", "polkitd", "postgres*", "containerd*", "dockerd", "memherd*",
};
/* By the file's name alone: what stands in a folder called memherd may be anybody's. */
static const char *const denied_programs[] = {
	"memherd",  "memherd-*", "systemd*", "sshd*",       "dbus-*",
	"postgres", "agetty",    "dockerd",  "containerd*",
};

/* Never restarted: what the host, its network or the way into it hangs on, who would have to do the
 * restarting, and the database that all is written to. */
static const char *const denied_units[] = {
	"ssh.service",     "ssh@*",          "sshd*",       "dropbear*", "dbus*",       "systemd-*",
	"user@*",          "user-runtime-*", "getty@*",     "*-getty@*", "polkit*",     "network*",
	"NetworkManager*", "ifup@*",         "wpa_*",       "docker*",   "containerd*", "podman*",
	"crio*",           "kubelet*",       "postgresql*", "memherd*",  "emergency*",  "rescue*",
};

static bool matches_any(const char *const *globs, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (fnmatch(globs[i], text, 0) == 0)
			return true;
	return false;
}

/* What is done to a whole unit, or bears on who of the host is killed. */
static bool is_of_unit(const char *action)
{
	static const char *const words[] = {"restart", "limit", "reclaim", "oom-score", "shed"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(action, words[i]) == 0)
			return true;
	return false;
}

static const char *always_denied(const char *action, const struct process *p)
{
	const struct supervisor *s = p ? &p->supervisor : NULL;
	const char *program = p ? strrchr(p->exe, '/') : NULL;

	if (!p)
		return NULL;
	if (p->pid <= 1)
		return "pid 1 is never touched";
	if (p->kernel_thread)
		return "kernel threads are never touched";
	if (p->pid == getpid() || p->pid == getppid())
		return "memherd does not act on itself";
	if (matches_any(denied_comms, ARRAY_SIZE(denied_comms), p->comm) ||
	    matches_any(denied_programs, ARRAY_SIZE(denied_programs),
			program ? program + 1 : p->exe))
		return "a program that is always left alone";
	if (is_of_unit(action) && s->kind == SUPERVISOR_UNIT &&
	    matches_any(denied_units, ARRAY_SIZE(denied_units), s->name))
		return "a unit that is never restarted, limited, reclaimed from or asked to shed";
	return NULL;
}

/* p: NULL = the whole host, which is nobody's. */
static bool term_holds(const struct term *t, const struct process *p)
{
	if (!p)
		return t->key == KEY_MAX || t->key == KEY_COOLDOWN || t->key == KEY_QUIET;
	switch (t->key) {
	case KEY_UNIT:
		return p->supervisor.kind == SUPERVISOR_UNIT &&
		       fnmatch(t->glob, p->supervisor.name, 0) == 0;
	case KEY_UID:
		if (t->op == OP_EQ)
			return p->uid == t->number;
		return t->op == OP_GE ? p->uid >= t->number : p->uid <= t->number;
	case KEY_EXE:
		return fnmatch(t->glob, p->exe, 0) == 0;
	case KEY_COMM:
		return fnmatch(t->glob, p->comm, 0) == 0;
	case KEY_CGROUP:
		return fnmatch(t->glob, p->cgroup, 0) == 0;
	case KEY_CONTAINER:
		return p->container == (bool)t->number;
	case KEY_SECCOMP:
		return t->number || p->seccomp != 2;
	case KEY_BARE:
		return (p->supervisor.kind == SUPERVISOR_BARE) == (bool)t->number;
	case KEY_LOWER:
	case KEY_SIGNED:
	case KEY_MAX:
	case KEY_COOLDOWN:
	case KEY_QUIET:
	case KEY_COUNT:
		return true;
	}
	return false;
}

/* What leaves a process as it was: no code of it runs otherwise, nothing slows it down or ends it.
 */
static bool is_harmless(const char *action)
{
	return strcmp(action, "trim") == 0 || strcmp(action, "census") == 0;
}

static bool terms_hold(const struct line *l, const struct process *p)
{
	for (size_t i = 0; i < l->n; i++)
		if (!term_holds(&l->terms[i], p))
			return false;
	return true;
}

static bool line_matches(const struct line *l, const char *action, const struct process *p)
{
	bool restart = strcmp(action, "restart") == 0;
	bool any = strcmp(l->action, "*") == 0 && (!l->allow || is_harmless(action));

	if (l->hook.kind || (!any && strcmp(l->action, action) != 0))
		return false;
	if (!p)
		return terms_hold(l, p);
	/* Root's processes and containers' are allowed only by a line that speaks of them. */
	if (l->allow && p->uid == 0 && !l->names_uid)
		return false;
	if (l->allow && p->container && !l->names_container)
		return false;
	/* Who ends what nobody starts again makes an outage. */
	if (l->allow && restart && p->supervisor.kind == SUPERVISOR_BARE && !l->names_bare)
		return false;
	return terms_hold(l, p);
}

int policy_hook(const struct policy *policy, const struct process *facts, struct hook *ret)
{
	for (size_t i = 0; i < policy->n; i++) {
		const struct line *l = &policy->lines[i];

		if (!l->hook.kind || !terms_hold(l, facts))
			continue;
		*ret = l->hook;
		return 0;
	}
	return -ENOENT;
}

void policy_judge(const struct policy *p, const char *action, const struct process *facts,
		  struct policy_verdict *ret)
{
	const char *never = always_denied(action, facts);

	*ret = (struct policy_verdict){.allowed = !p && !never};
	if (never || !p) {
		str_copy(ret->why, sizeof(ret->why), never ? never : "no policy was asked");
		return;
	}
	for (size_t i = 0; i < p->n; i++) {
		const struct line *l = &p->lines[i];

		if (!line_matches(l, action, facts))
			continue;
		ret->allowed = l->allow;
		ret->line = l->number;
		ret->max = l->max;
		ret->lower = l->lower;
		ret->max_window_us = l->max_window_us;
		ret->cooldown_us = l->cooldown_us;
		ret->signed_only = l->signed_only;
		ret->quiet_from = l->quiet_from;
		ret->quiet_to = l->quiet_to;
		snprintf(ret->why, sizeof(ret->why), "policy line %u: %s", l->number, l->shown);
		return;
	}
	str_copy(ret->why, sizeof(ret->why), "no line of the policy allows it");
}

int policy_maintenance(const struct policy *p, int64_t now_us, struct error *err)
{
	for (size_t i = 0; i < p->n_periods; i++) {
		const struct period *m = &p->periods[i];

		if (now_us >= m->from_us && now_us < m->until_us)
			return error_set(
				err, -EPERM,
				"maintenance: policy line %u says that nothing is done%s%s",
				m->number, *m->until ? " until " : "", m->until);
	}
	return 0;
}

bool policy_is_quiet(const struct policy_verdict *v, int minute)
{
	if (v->quiet_from <= v->quiet_to)
		return minute >= v->quiet_from && minute < v->quiet_to;
	return minute >= v->quiet_from || minute < v->quiet_to;
}
