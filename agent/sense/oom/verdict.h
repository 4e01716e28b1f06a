/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verdict.h - how a process that vanished came to its end: the cause, how sure that is, a sentence
 * and the evidence it rests on. Pure: the caller waited for evidence as long as it wants to
 * (kmsg, journal and counters lag behind the exit by up to some seconds) and hands in what it has.
 *
 * An unknown sender of SIGKILL is a verdict, not a failure. A program's guess at the cause of its
 * child's death ('Perhaps out of memory?') is no evidence.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_VERDICT_H
#define MEMHERD_AGENT_SENSE_OOM_VERDICT_H

#include "agent/sense/oom/kill.h"
#include "agent/sense/oom/killers.h"

/* X(NAME, name, help): name is the word of REST, rules and the CLI. */
#define VERDICT_CAUSE_LIST(X)                                                                   \
	X(UNKNOWN, unknown, "nothing is known of its end")                                      \
	X(OOM_GLOBAL, oom_kernel_global, "killed by the kernel: the host had no memory left")   \
	X(OOM_MEMCG, oom_kernel_memcg, "killed by the kernel: a cgroup reached its limit")      \
	X(OOM_GROUP, oom_kernel_group,                                                          \
	  "killed by the kernel along with its cgroup (memory.oom.group)")                      \
	X(OOM_SYSRQ, oom_sysrq, "killed by the kernel because somebody asked for it (SysRq-f)") \
	X(OOM_KERNEL, oom_kernel, "killed by the kernel for memory; whose limit is not known")  \
	X(SYSTEMD_OOMD, systemd_oomd, "killed by systemd-oomd")                                 \
	X(EARLYOOM, earlyoom, "ended by earlyoom")                                              \
	X(NOHANG, nohang, "ended by nohang")                                                    \
	X(OOMD, oomd, "killed by oomd")                                                         \
	X(OWN_ACTION, own_action, "ended by an action of memherd")                              \
	X(WORKER_TIMEOUT, worker_timeout, "ended by its master: it did not answer in time")     \
	X(UNIT_STOP, unit_stop, "stopped by the service manager")                               \
	X(PARENT_DIED, parent_died, "ended with its parent")                                    \
	X(KILLED, killed, "killed with SIGKILL; the sender is not known")                       \
	X(TERMINATED, terminated, "ended by another signal; the sender is not known")           \
	X(CRASH, crash, "crashed")                                                              \
	X(MEMORY_ERROR, memory_error, "probably out of memory by its own limit")                \
	X(EXIT_CODE, exit_code, "ended by itself with an error")                                \
	X(CLEAN_EXIT, clean_exit, "ended by itself without an error")

enum verdict_cause {
#define X(NAME, name, help) VERDICT_##NAME,
	VERDICT_CAUSE_LIST(X)
#undef X
		VERDICT_CAUSE_COUNT
};

/* X(NAME, name) */
#define VERDICT_CONFIDENCE_LIST(X) X(GUESS, guess) X(LIKELY, likely) X(CERTAIN, certain)

enum verdict_confidence {
#define X(NAME, name) VERDICT_##NAME,
	VERDICT_CONFIDENCE_LIST(X)
#undef X
		VERDICT_CONFIDENCE_COUNT
};

enum verdict_action { VERDICT_ACTION_NONE, VERDICT_ACTION_RESTART, VERDICT_ACTION_KILL };

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
	const struct oom_kill *kill; /* the kernel's kill of this process */
	bool marked;                 /* tracepoint oom:mark_victim named it */
	int64_t oom_kill_rise;       /* memory.events oom_kill of its cgroup; METRIC_ABSENT */
	const struct killer_note
		*notes; /* of the last seconds; those that do not match are skipped */
	size_t n_notes;
	enum verdict_action action; /* ours, on this very process */
	int64_t action_id;
	const char *crash;   /* what the kernel logged of its fault, printable */
	bool unit_stop;      /* the service manager was asked to stop or restart its unit */
	bool parent_died;    /* within the second before */
	bool memory_limited; /* RLIMIT_AS or RLIMIT_DATA is set, or overcommit_memory is 2 */
};

#define VERDICT_MAX_EVIDENCE  8
#define VERDICT_EVIDENCE_SIZE 200
#define VERDICT_SENTENCE_SIZE 400

struct verdict {
	enum verdict_cause cause;
	enum verdict_confidence confidence;
	bool contradicted; /* some evidence speaks against it, and is among the lines */
	char sentence[VERDICT_SENTENCE_SIZE];
	char evidence[VERDICT_MAX_EVIDENCE][VERDICT_EVIDENCE_SIZE];
	size_t n_evidence;
};

/* Takes a wait status apart, as wait(2) and the proc connector give it. */
struct verdict_exit verdict_exit_of(uint32_t wait_status);
void verdict_decide(const struct verdict_facts *f, struct verdict *ret);

const char *verdict_cause_name(enum verdict_cause cause);
const char *verdict_cause_help(enum verdict_cause cause);
const char *verdict_confidence_name(enum verdict_confidence confidence);

#endif
