/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verdict.h - how a process that vanished came to its end: the cause, how sure that is, a sentence
 * and the evidence it rests on. Pure: the caller waited for evidence as long as it wants to
 * (kmsg, journal and counters lag behind the exit by up to some seconds) and hands in what it has.
 *
 * An unknown sender of SIGKILL is a verdict, not a failure. A program's guess at the cause of its
 * child's death ('Perhaps out of memory?') is no evidence. Causes and confidences are those of
 * proto/kill.h.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_VERDICT_H
#define MEMHERD_AGENT_SENSE_OOM_VERDICT_H

#include "agent/sense/oom/kill.h"
#include "agent/sense/oom/killers.h"
#include "proto/kill.h"

/* A trim ends nothing: it is told beside the cause, and never is one. */
/* What of ours was done to it: a restart ends a process, the others should not. */
enum verdict_action {
	VERDICT_ACTION_NONE,
	VERDICT_ACTION_RESTART,
	VERDICT_ACTION_TRIM,
	VERDICT_ACTION_CENSUS,
	VERDICT_ACTION_SCRIPT /* Python that was run in it */
};

struct verdict_exit {
	bool known;
	int code;   /* 0..255 when signal is 0 */
	int signal; /* 0 = it ended by itself */
	bool core;
};

/* All that is known; pointers may be NULL and stay the caller's. */
struct verdict_facts {
	int64_t pid;
	const char *name; /* how to call it in the sentence: 'python3 (pid 812, shop)'; printable */
	const char *cgroup; /* raw path, "" when not known: joins notes that name no pid */
	struct verdict_exit exit;
	const struct oom_kill *kill;   /* the kernel's kill of this process */
	const struct oom_group *group; /* else: a cgroup that died as a whole, and it lived there */
	bool marked;                   /* tracepoint oom:mark_victim named it */
	int64_t oom_kill_rise;         /* memory.events oom_kill of its cgroup; METRIC_ABSENT */
	const struct killer_note
		*notes; /* of the last seconds; those that do not match are skipped */
	size_t n_notes;
	enum verdict_action action; /* ours, on this very process, announced before its end */
	const char *action_id;      /* printable */
	const char *crash;          /* what the kernel logged of its fault, printable */
	bool unit_stop;             /* the service manager was asked to stop or restart its unit */
	const char *unit_job;       /* 'stop' or 'restart', printable; NULL = not known */
	bool parent_died;           /* within the second before */
	bool memory_limited;        /* RLIMIT_AS or RLIMIT_DATA is set, or overcommit_memory is 2 */
};

#define VERDICT_MAX_EVIDENCE  8
#define VERDICT_EVIDENCE_SIZE 200
#define VERDICT_SENTENCE_SIZE 400

struct verdict {
	enum kill_cause cause;
	enum kill_confidence confidence;
	bool contradicted; /* some evidence speaks against it, and is among the lines */
	char sentence[VERDICT_SENTENCE_SIZE];
	char evidence[VERDICT_MAX_EVIDENCE][VERDICT_EVIDENCE_SIZE];
	size_t n_evidence;
};

/* Takes a wait status apart, as wait(2) and the proc connector give it. */
struct verdict_exit verdict_exit_of(uint32_t wait_status);
void verdict_decide(const struct verdict_facts *f, struct verdict *ret);
/* The cause that the kernel's own report of a kill gives. */
enum kill_cause verdict_kernel_cause(const struct oom_kill *k);

#endif
