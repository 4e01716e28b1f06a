/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oom.h - who was killed and how processes ended: reads the kernel's log, its tracepoint, the proc
 * connector and what the owner hands in, and tells of each kill a dossier (wire_kill) and of each
 * end of a tracked process a verdict (event DEATH).
 *
 * One object, on the owner's loop; it never waits. A dossier is handed over in the turn of the loop
 * in which the kill line was read. A kill is told once for each (boot, record number), over
 * restarts too: the position in the log is kept in a file. What found no room in a turn is counted
 * and told as SENSE_TROUBLE. Each source may be missing: that is told once, the others go on.
 *
 * It logs, as the owner of its sources. Everything that ops are given is valid until they return.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_OOM_H
#define MEMHERD_AGENT_SENSE_OOM_OOM_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/sense/cgroup_tree.h"
#include "agent/sense/oom/killers.h"
#include "agent/sense/oom/verdict.h"
#include "agent/sense/ring.h"
#include "common/check.h"
#include "common/error.h"
#include "proto/wire.h"

struct oom_process {
	uint32_t id; /* proctab's, and so the ring's */
	uint64_t start_ticks;
	uint32_t parent; /* pid; 0 = not known */
	uint16_t cgroup; /* in the tree; CGROUP_NONE */
};

struct oom_ops {
	/* Who had that pid in the last round; false = nobody. */
	bool (*find_process)(void *arg, uint32_t pid, struct oom_process *ret);
	/* 0, or negative when it cannot be kept: the position in the log then stays before it, and
	 * the next start finds it again. */
	int (*kill)(void *arg, const struct wire_kill *k);
	void (*event)(void *arg, const struct wire_event *e);
	/* Memory ran out just now: sample faster. May be NULL. */
	void (*pressure)(void *arg);
	/* A verdict may be due: what waits to be heard elsewhere (oom_own_action) is to be handed
	 * in now. May be NULL. */
	void (*hear)(void *arg);
};

struct oom_config {
	struct event_base *base;
	int exits_fd; /* agent/inherit.h; -1 = not there. Neither is owned. */
	int trace_fd;
	const char *kmsg_path;     /* "/dev/kmsg" */
	const char *position_path; /* NULL = every start tells what the log holds */
	const char *proc_path;     /* "/proc" */
	uint8_t boot_id[16];
	/* The owner's; they live longer than this object. */
	const struct ring *ring;
	const struct cgroup_tree *cgroups;
	const int64_t *host; /* HOST_METRIC_COUNT, of the last round */
	struct oom_ops ops;
	void *arg;
};

struct oom;

/* cfg is copied, its paths too. -ENOMEM; a source that is not there is no failure: a log that
 * cannot be read is told from within (ops.event), a descriptor of -1 is for the posture to tell. */
int oom_new(const struct oom_config *cfg, struct oom **ret, struct error *err) must_use;
/* Ends that still wait are decided with what is known: before the watch ends. */
void oom_flush(struct oom *o);
void oom_free(struct oom **o);

/* Before a round looks at /proc: ends that wait in the sockets are joined to who had the pid. */
void oom_before_round(struct oom *o);
/* A tracked process is not there any more: before the ring and the table forget it. Not for one
 * that became another program (exec). */
void oom_process_gone(struct oom *o, uint32_t pid, const struct oom_process *p);
/* After a round. vmstat_oom_kill: read after oom_before_round(); METRIC_ABSENT = not had. */
void oom_round(struct oom *o, int64_t vmstat_oom_kill);

/* An end waits that the service manager's journal may explain: its reader is worth its cost. */
bool oom_asks_manager(const struct oom *o);
/* A killer in user space said so, or the service manager (the journal's reader). */
void oom_note(struct oom *o, const struct killer_note *note);
/* memherd itself is about to act on this process; id: of the action. */
void oom_own_action(struct oom *o, uint32_t pid, uint64_t start_ticks, enum verdict_action what,
		    const uint8_t id[16]);
/* That action was not carried out. */
void oom_own_action_off(struct oom *o, const uint8_t id[16]);
/* What the posture says of sshd's oom_score_adj, for the advice. */
void oom_set_sshd_unprotected(struct oom *o, bool unprotected);

/* Which sources are there, and what went by, for the posture and for metrics. */
struct oom_state {
	bool kmsg;
	bool exits;
	bool trace;
	uint64_t kills;        /* told */
	uint64_t deaths;       /* decided */
	uint64_t held_back;    /* events beyond what a second may bring */
	uint64_t lost_records; /* of the kernel's log */
	uint64_t lost_exits;   /* times that the kernel dropped some */
	uint64_t lost_marks;
};
struct oom_state oom_state(const struct oom *o);

#endif
