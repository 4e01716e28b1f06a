/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deaths.h - ends of processes that wait for their verdict, and the evidence that has come in: the
 * kernel's kills and marks, what killers in user space say, our own actions, faults. Evidence lags
 * behind the end by up to seconds and may also come before it. Decided at once: an exit with code
 * 0, an end with the kernel's kill of it, a fault that the kernel has logged. All others wait
 * DEATHS_WAIT_US.
 *
 * No descriptor, no clock: times are microseconds since boot. An end is told once, whoever tells
 * of it how often (the proc connector and the round both do); of those decided the last
 * DEATHS_REMEMBERED are known. Memory: about 1.2 KiB for each end that waits, at most DEATHS_MAX of
 * them: the oldest is then decided with what there is.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_DEATHS_H
#define MEMHERD_AGENT_SENSE_OOM_DEATHS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/sense/oom/kill.h"
#include "agent/sense/oom/killers.h"
#include "agent/sense/oom/marks.h"
#include "agent/sense/oom/verdict.h"
#include "common/check.h"
#include "proto/wire.h"

#define DEATHS_MAX        256u
#define DEATHS_REMEMBERED 1024u
#define DEATHS_WAIT_US    3000000
/* How long a kill, a mark or an action waits for the end that belongs to it: a victim may take long
 * to die when there is no memory. */
#define DEATHS_KEEP_US 60000000
/* When a mark of whom nobody tells is a kill of its own. */
#define DEATHS_LONE_US 10000000

/* How long after the kernel gave up a whole cgroup an end in it goes with that, and how far before,
 * as ends are heard of sooner than the log. A service manager that was told of the kill ends the
 * rest too (OOMPolicy=kill), and where it is faster the kernel's log names those nowhere. */
#define DEATHS_GROUP_US        10000000
#define DEATHS_GROUP_BEFORE_US 1000000

#define DEATHS_KILLS   64u
#define DEATHS_GROUPS  8u
#define DEATHS_MARKS   64u
#define DEATHS_NOTES   16u
#define DEATHS_CRASHES 16u
#define DEATHS_ACTIONS 32u
#define DEATHS_STOPS   32u
#define DEATHS_LAST    64u
/* Within this a child follows its parent. */
#define DEATHS_PARENT_US 1000000
/* How long before an end the service manager may have begun to stop its unit: TimeoutStopSec= is 90
 * s unless the unit says otherwise. */
#define DEATHS_STOP_KEEP_US 95000000
/* The manager sends the signal and writes of it in one breath: on another processor the end was
 * seen 0.5 ms before the time that its line bears (measured in a guest without KVM). */
#define DEATHS_STOP_SLACK_US 100000
/* How long after it was announced an action may bring an end: a service manager gives a process 90
 * s before it kills. */
#define DEATHS_ACTION_KEEP_US 120000000
/* Both come over sockets that are read in turn: what was announced before may be heard after. */
#define DEATHS_ACTION_SLACK_US 100000

struct death {
	uint32_t pid;
	uint64_t start_ticks; /* 0 = not known: a process that was never sampled */
	uint32_t parent;      /* pid; 0 = not known */
	uint32_t slot;        /* in the flight ring */
	int64_t seen_us;
	int64_t wall_us;
	struct verdict_exit exit;
	int64_t uid;           /* -1 = not known */
	int64_t oom_kill_rise; /* of its cgroup's counter since rise_from_us; METRIC_ABSENT */
	int64_t rise_from_us;
	struct mark mark; /* pid 0: none */
	bool parent_died; /* just before; set here */
	/* Printable, but for the cgroup: a raw path, "" = not known. */
	char comm[WIRE_COMM_MAX + 1];
	char service[WIRE_NAME_MAX + 1];
	char container[WIRE_NAME_MAX + 1];
	char cgroup[OOM_PATH_SIZE];
};

struct death_kill {
	int64_t us;
	uint64_t seq;
	uint64_t start_ticks; /* 0 = not known */
	int64_t pid;
	enum oom_scope scope;
	bool group_member;
	bool used;       /* its end was decided */
	unsigned times;  /* that the kernel counted it */
	uint32_t cgroup; /* hash of the victim's path */
};
struct death_group {
	int64_t us;
	struct oom_group group;
};
struct death_mark {
	int64_t us;
	bool used; /* its end was decided */
	bool looked_at;
	struct mark mark;
};
struct death_crash {
	int64_t us;
	int64_t pid;
	char text[VERDICT_EVIDENCE_SIZE]; /* printable */
};
struct death_action {
	int64_t us;
	uint32_t pid;
	uint64_t start_ticks;
	enum verdict_action what; /* NONE: taken back */
	uint8_t id[16];
};

/* The service manager began to stop or restart a unit. */
struct death_stop {
	int64_t wall_us; /* when it wrote that */
	char unit[128];  /* raw; a longer name is not kept */
	char job[16];    /* what for, printable; "" = not said yet */
};

/* An end that was seen, in the order in which they were. */
struct death_last {
	int64_t us;
	uint32_t pid;
	int signal; /* -1 = how it ended is not known */
};

struct deaths {
	struct death *pending[DEATHS_MAX]; /* the oldest first */
	size_t n_pending;
	int64_t decided[DEATHS_REMEMBERED]; /* identities, a ring */
	size_t n_decided;
	/* Rings: how many were put in so far says where the next one goes. */
	struct death_kill kills[DEATHS_KILLS];
	size_t n_kills;
	struct death_group groups[DEATHS_GROUPS];
	size_t n_groups;
	struct death_mark marks[DEATHS_MARKS];
	size_t n_marks;
	struct death_crash crashes[DEATHS_CRASHES];
	size_t n_crashes;
	struct death_action actions[DEATHS_ACTIONS];
	size_t n_actions;
	struct death_last last[DEATHS_LAST];
	size_t n_last;
	struct death_stop stops[DEATHS_STOPS];
	size_t n_stops;
	struct killer_note notes[DEATHS_NOTES]; /* in no order */
	int64_t note_us[DEATHS_NOTES];
	bool note_looked_at[DEATHS_NOTES]; /* by deaths_lone_note() */
	size_t n_notes;
	bool memory_limited; /* overcommit_memory is 2 */
};

void deaths_init(struct deaths *d);
void deaths_fini(struct deaths *d);

/*
 * A process ended. Copied. 1; 0 when it is known already (an exit that was not known before is then
 * taken over); -ENOMEM. When DEATHS_MAX wait the caller takes one out with deaths_next() first.
 */
int deaths_add(struct deaths *d, const struct death *x) must_use;
/* The end that waits and has this pid and no exit yet, or NULL: its exit may come late. */
struct death *deaths_unseen(struct deaths *d, uint32_t pid);

/* start_ticks: 0 when the victim is not known. */
void deaths_kill(struct deaths *d, const struct oom_kill *k, uint64_t start_ticks, int64_t now_us);
/* The kernel named the victim of the kill with that pid once more. */
void deaths_again(struct deaths *d, int64_t pid);
void deaths_group(struct deaths *d, const struct oom_group *g, int64_t now_us);
void deaths_mark(struct deaths *d, const struct mark *m, int64_t now_us);
void deaths_note(struct deaths *d, const struct killer_note *note, int64_t now_us);
/* Is there an end that a service manager's stop may explain, so that its log is worth a look? */
bool deaths_ask_manager(const struct deaths *d);
/* text: the kernel's line, raw. */
void deaths_crash(struct deaths *d, int64_t pid, const char *text, int64_t now_us);
/* Ours, before it is done: a process that is seen to end afterwards may have ended by it. us is set
 * here. */
void deaths_action(struct deaths *d, const struct death_action *a, int64_t now_us);
/* It was not done after all. */
void deaths_action_off(struct deaths *d, const uint8_t id[16]);

struct death_end {
	struct death death;
	struct verdict verdict;
	bool reported; /* the kernel's log told of its kill: it has a dossier */
	/* Else what it went with (KILL_CAUSE_KERNEL_GROUP), until the next call; NULL = nothing. */
	const struct oom_group *group;
};
/* Takes out one end whose time has come; false when none has. */
bool deaths_next(struct deaths *d, int64_t now_us, struct death_end *ret) must_use;
/* When deaths_next() will have one without new evidence; INT64_MAX = never. */
int64_t deaths_due_us(const struct deaths *d);
/* A mark of a process of which the log did not tell and that is not among those that wait,
 * DEATHS_LONE_US old; each once. */
bool deaths_lone_mark(struct deaths *d, int64_t now_us, struct mark *ret) must_use;
/* A killer's word, DEATHS_WAIT_US old, that it sent a signal to a process of whose end nothing is
 * known: it may have come and gone between two rounds. Each pid once. */
bool deaths_lone_note(struct deaths *d, int64_t now_us, struct killer_note *ret) must_use;

#endif
