/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/verdict.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"

/* wait(2): the low 7 bits are the signal, the next the core flag, the next 8 the exit code. */
struct verdict_exit verdict_exit_of(uint32_t wait_status)
{
	struct verdict_exit e = {.known = true, .signal = wait_status & 0x7f};

	e.core = e.signal && (wait_status & 0x80);
	e.code = e.signal ? 0 : (wait_status >> 8) & 0xff;
	return e;
}

static void evidence(struct verdict *v, const char *fmt, ...) printf_like(2, 3);
static void evidence(struct verdict *v, const char *fmt, ...)
{
	char whole[2 * VERDICT_EVIDENCE_SIZE];
	va_list ap;

	if (v->n_evidence == VERDICT_MAX_EVIDENCE)
		return;
	va_start(ap, fmt);
	vsnprintf(whole, sizeof(whole), fmt, ap);
	va_end(ap);
	/* vsnprintf may cut inside a character; this does not. */
	str_safe(v->evidence[v->n_evidence++], VERDICT_EVIDENCE_SIZE, whole, strlen(whole));
}

static void against(struct verdict *v, const char *text)
{
	v->contradicted = true;
	if (v->confidence > KILL_CONFIDENCE_GUESS)
		v->confidence--;
	evidence(v, "against it: %s", text);
}

static void decide(struct verdict *v, enum kill_cause cause, enum kill_confidence confidence)
{
	v->cause = cause;
	v->confidence = confidence;
}

static bool signalled(const struct verdict_facts *f, int signal)
{
	return f->exit.known && f->exit.signal == signal;
}

/* ---- each candidate: true when it decided ---- */

enum kill_cause verdict_kernel_cause(const struct oom_kill *k)
{
	if (k->group_member)
		return KILL_CAUSE_KERNEL_GROUP;
	switch (k->scope) {
	case OOM_SCOPE_MEMCG:
		return KILL_CAUSE_KERNEL_MEMCG;
	case OOM_SCOPE_GLOBAL:
	case OOM_SCOPE_CPUSET:
	case OOM_SCOPE_MEMPOLICY:
	case OOM_SCOPE_ALLOCATING:
		return KILL_CAUSE_KERNEL_GLOBAL;
	case OOM_SCOPE_SYSRQ:
		return KILL_CAUSE_KERNEL_SYSRQ;
	case OOM_SCOPE_UNKNOWN:
	case OOM_SCOPE_COUNT:
	default:
		return KILL_CAUSE_KERNEL_OOM;
	}
}

static bool by_kernel(const struct verdict_facts *f, struct verdict *v)
{
	if (f->kill) {
		decide(v, verdict_kernel_cause(f->kill), KILL_CONFIDENCE_CERTAIN);
		evidence(v, "the kernel's log, record %" PRIu64 ": killed process %" PRId64 ", %s",
			 f->kill->seq, f->kill->pid, oom_scope_help(f->kill->scope));
		if (f->marked)
			evidence(v, "the kernel's tracepoint oom:mark_victim named it");
	} else if (f->marked) {
		decide(v, KILL_CAUSE_KERNEL_OOM, KILL_CONFIDENCE_CERTAIN);
		evidence(v, "the kernel's tracepoint oom:mark_victim named it");
	} else {
		return false;
	}
	if (f->exit.known && f->exit.signal != SIGKILL) {
		char text[64];

		snprintf(text, sizeof(text), "it ended with %s %d, not with SIGKILL",
			 f->exit.signal ? "signal" : "exit code",
			 f->exit.signal ? f->exit.signal : f->exit.code);
		against(v, text);
	}
	return true;
}

/* The strongest note on this process: one that names its pid goes before one on its cgroup. */
static const struct killer_note *note_of(const struct verdict_facts *f, bool memory)
{
	const struct killer_note *best = NULL;

	for (size_t i = 0; i < f->n_notes; i++) {
		const struct killer_note *n = &f->notes[i];

		if ((n->killer != KILLER_GUNICORN) != memory || n->act == KILLER_ACT_SURVIVED ||
		    n->killer == KILLER_PID1_STOP || !killer_matches(n, f->pid, f->cgroup))
			continue;
		/* The service manager ends the rest of the unit after a kill, with SIGTERM. */
		if (n->killer == KILLER_PID1_OOM && f->exit.known && f->exit.signal != SIGKILL)
			continue;
		if (!best || (n->pid && !best->pid) ||
		    (!best->pid && n->act == KILLER_ACT_SIGNAL && best->act == KILLER_ACT_UNIT))
			best = n;
	}
	return best;
}

static enum kill_cause killer_cause(enum killer killer)
{
	switch (killer) {
	case KILLER_EARLYOOM:
		return KILL_CAUSE_EARLYOOM;
	case KILLER_SYSTEMD_OOMD:
	case KILLER_PID1_OOMD:
		return KILL_CAUSE_SYSTEMD_OOMD;
	case KILLER_NOHANG:
		return KILL_CAUSE_NOHANG;
	case KILLER_OOMD:
		return KILL_CAUSE_OOMD;
	case KILLER_PID1_OOM:
		return KILL_CAUSE_KERNEL_OOM;
	case KILLER_GUNICORN:
		return KILL_CAUSE_WORKER_TIMEOUT;
	case KILLER_PID1_STOP:
	case KILLER_COUNT:
	default:
		return KILL_CAUSE_UNKNOWN;
	}
}

static void note_evidence(struct verdict *v, const struct killer_note *n)
{
	const char *colon = *n->reason ? ": " : "";
	char target[100];

	str_safe(target, sizeof(target), n->target, strlen(n->target));
	if (n->pid)
		evidence(v, "the log of %s names pid %" PRId64 "%s%s", killer_name(n->killer),
			 n->pid, colon, n->reason);
	else
		evidence(v, "the log of %s names %s%s%s", killer_name(n->killer), target, colon,
			 n->reason);
}

/* An end that the killer's signal cannot have brought speaks against it; SIGTERM may be handled,
 * and then any exit code may follow. */
static void weigh_signal(const struct verdict_facts *f, struct verdict *v,
			 const struct killer_note *n)
{
	if (!f->exit.known || (f->exit.signal == n->signal && n->signal) ||
	    f->exit.signal == SIGKILL || f->exit.signal == SIGTERM)
		return;
	if (!f->exit.signal && (n->signal == SIGTERM || n->signal == 0))
		return;
	against(v, "it did not end by that program's signal");
}

/* Whether the kernel or a service manager that heard of the kill came first, nobody wrote. */
static bool by_group(const struct verdict_facts *f, struct verdict *v)
{
	const struct killer_note *n = note_of(f, true);
	char path[100];

	if (!f->group || (n && n->pid) || (f->exit.known && f->exit.signal != SIGKILL))
		return false;
	decide(v, KILL_CAUSE_KERNEL_GROUP,
	       f->exit.known ? KILL_CONFIDENCE_LIKELY : KILL_CONFIDENCE_GUESS);
	str_safe(path, sizeof(path), f->group->cgroup, strlen(f->group->cgroup));
	evidence(v,
		 "the kernel's log, after record %" PRIu64
		 ": all of %s is killed (memory.oom.group)",
		 f->group->leader_seq, path);
	if (n)
		note_evidence(v, n);
	return true;
}

static bool by_killer(const struct verdict_facts *f, struct verdict *v)
{
	const struct killer_note *n = note_of(f, true);

	if (!n)
		return false;
	decide(v, killer_cause(n->killer),
	       n->pid ? KILL_CONFIDENCE_CERTAIN : KILL_CONFIDENCE_LIKELY);
	note_evidence(v, n);
	weigh_signal(f, v, n);
	return true;
}

static bool by_counter(const struct verdict_facts *f, struct verdict *v)
{
	if (f->oom_kill_rise == METRIC_ABSENT || f->oom_kill_rise <= 0 ||
	    (f->exit.known && f->exit.signal != SIGKILL))
		return false;
	decide(v, KILL_CAUSE_KERNEL_OOM,
	       f->exit.known ? KILL_CONFIDENCE_LIKELY : KILL_CONFIDENCE_GUESS);
	evidence(v, "memory.events of its cgroup: oom_kill rose by %" PRId64, f->oom_kill_rise);
	return true;
}

static bool by_master(const struct verdict_facts *f, struct verdict *v)
{
	const struct killer_note *n = note_of(f, false);

	if (!n || (f->exit.known && !f->exit.signal && f->exit.code == 0))
		return false;
	decide(v, KILL_CAUSE_WORKER_TIMEOUT,
	       signalled(f, SIGKILL) || signalled(f, SIGABRT) ? KILL_CONFIDENCE_CERTAIN
							      : KILL_CONFIDENCE_LIKELY);
	note_evidence(v, n);
	return true;
}

static bool is_fault(int signal)
{
	return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL ||
	       signal == SIGABRT || signal == SIGSYS || signal == SIGTRAP;
}

static bool by_fault(const struct verdict_facts *f, struct verdict *v)
{
	bool fault = f->exit.known && is_fault(f->exit.signal);

	/* A fault that was logged may have been handled: the end must fit. */
	if (!fault && !(f->crash && !f->exit.known))
		return false;
	decide(v, KILL_CAUSE_CRASH, fault ? KILL_CONFIDENCE_CERTAIN : KILL_CONFIDENCE_LIKELY);
	if (f->crash)
		evidence(v, "the kernel's log: %s", f->crash);
	return true;
}

static bool by_manager(const struct verdict_facts *f, struct verdict *v)
{
	bool signal = signalled(f, SIGTERM) || signalled(f, SIGKILL) || signalled(f, SIGINT) ||
		      signalled(f, SIGHUP);

	if (f->unit_stop) {
		decide(v, KILL_CAUSE_UNIT_STOP, KILL_CONFIDENCE_LIKELY);
		evidence(v, "the service manager was stopping its unit%s%s",
			 f->unit_job ? ", for a job of type " : "", f->unit_job ? f->unit_job : "");
		return true;
	}
	if (!f->parent_died || !signal)
		return false;
	decide(v, KILL_CAUSE_PARENT_DIED, KILL_CONFIDENCE_GUESS);
	evidence(v, "its parent ended just before");
	return true;
}

/* An end that a restart may bring: the signals that it or the service manager sends, and whatever
 * exit code a program gives that handles them. Link says that there was one, and link is not
 * trusted: what the kernel or another killer says of this end went before, and a fault is never
 * ours. */
static bool by_own_action(const struct verdict_facts *f, struct verdict *v)
{
	bool fits = !f->exit.known || f->exit.signal == 0 || f->exit.signal == SIGTERM ||
		    f->exit.signal == SIGKILL;

	if (f->action != VERDICT_ACTION_RESTART || !fits)
		return false;
	decide(v, KILL_CAUSE_OWN_ACTION,
	       f->exit.known ? KILL_CONFIDENCE_CERTAIN : KILL_CONFIDENCE_LIKELY);
	evidence(v, "action %s of memherd: restart", f->action_id ? f->action_id : "");
	return true;
}

/* What the exit alone says. */
static void by_exit(const struct verdict_facts *f, struct verdict *v)
{
	if (!f->exit.known) {
		decide(v, KILL_CAUSE_UNKNOWN, KILL_CONFIDENCE_GUESS);
	} else if (f->exit.signal == SIGKILL) {
		decide(v, KILL_CAUSE_KILLED, KILL_CONFIDENCE_CERTAIN);
	} else if (f->exit.signal) {
		decide(v, KILL_CAUSE_TERMINATED, KILL_CONFIDENCE_CERTAIN);
	} else if (f->exit.code == 1 && f->memory_limited) {
		decide(v, KILL_CAUSE_MEMORY_ERROR, KILL_CONFIDENCE_GUESS);
		evidence(v, "its address space is limited: an allocation can fail without a kill");
	} else if (f->exit.code) {
		decide(v, KILL_CAUSE_EXIT_CODE, KILL_CONFIDENCE_CERTAIN);
	} else {
		decide(v, KILL_CAUSE_CLEAN_EXIT, KILL_CONFIDENCE_CERTAIN);
	}
}

/* ---- the whole ---- */

static void exit_evidence(const struct verdict_facts *f, struct verdict *v)
{
	if (!f->exit.known)
		evidence(v, "how it ended was not seen");
	else if (f->exit.signal)
		evidence(v, "it ended with signal %d (%s)%s", f->exit.signal,
			 sigabbrev_np(f->exit.signal) ? sigabbrev_np(f->exit.signal) : "real-time",
			 f->exit.core ? " and left a core" : "");
	else
		evidence(v, "it ended with exit code %d", f->exit.code);
}

/* Two that claim the same end: the first in the order stays, less sure than before. */
static const char *const action_words[] = {
	[VERDICT_ACTION_TRIM] = "trim",
	[VERDICT_ACTION_CENSUS] = "census",
	[VERDICT_ACTION_SCRIPT] = "Python run in it",
};

static void rivals(const struct verdict_facts *f, struct verdict *v)
{
	bool kernel = f->kill || f->marked;
	const struct killer_note *n = note_of(f, true);

	if (kernel && n && n->pid && n->killer != KILLER_PID1_OOM &&
	    v->cause != KILL_CAUSE_KERNEL_SYSRQ) {
		char text[120];

		snprintf(text, sizeof(text), "the log of %s claims the same process",
			 killer_name(n->killer));
		against(v, text);
	}
	if (f->action == VERDICT_ACTION_RESTART && v->cause != KILL_CAUSE_OWN_ACTION)
		against(v, "an action of memherd was under way on it");
	if (f->action != VERDICT_ACTION_NONE && f->action != VERDICT_ACTION_RESTART)
		evidence(v, "action %s of memherd, shortly before: %s",
			 f->action_id ? f->action_id : "", action_words[f->action]);
}

static void sentence(const struct verdict_facts *f, struct verdict *v)
{
	static const char *const sure[] = {[KILL_CONFIDENCE_GUESS] = " (a guess)",
					   [KILL_CONFIDENCE_LIKELY] = " (likely)",
					   [KILL_CONFIDENCE_CERTAIN] = ""};
	char detail[64] = "";
	char whole[2 * VERDICT_SENTENCE_SIZE];

	if (v->cause == KILL_CAUSE_EXIT_CODE || v->cause == KILL_CAUSE_MEMORY_ERROR)
		snprintf(detail, sizeof(detail), ": exit code %d", f->exit.code);
	else if ((v->cause == KILL_CAUSE_CRASH || v->cause == KILL_CAUSE_TERMINATED) &&
		 f->exit.known)
		snprintf(detail, sizeof(detail), ": signal %d", f->exit.signal);
	snprintf(whole, sizeof(whole), "%s: %s%s%s", f->name && *f->name ? f->name : "the process",
		 kill_cause_help(v->cause), detail, sure[v->confidence]);
	str_safe(v->sentence, sizeof(v->sentence), whole, strlen(whole));
}

void verdict_decide(const struct verdict_facts *f, struct verdict *ret)
{
	/* Who says so of this very process goes before what only counts. */
	static bool (*const candidates[])(const struct verdict_facts *, struct verdict *) = {
		by_kernel, by_group, by_killer,     by_counter,
		by_master, by_fault, by_own_action, by_manager,
	};
	bool found = false;

	*ret = (struct verdict){.cause = KILL_CAUSE_UNKNOWN};
	exit_evidence(f, ret);
	for (size_t i = 0; i < ARRAY_SIZE(candidates) && !found; i++)
		found = candidates[i](f, ret);
	if (!found)
		by_exit(f, ret);
	rivals(f, ret);
	sentence(f, ret);
}
