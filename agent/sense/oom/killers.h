/* SPDX-License-Identifier: Apache-2.0 */
/*
 * killers.h - what programs other than the kernel say when they kill for memory. Pure: one line of
 * a log in, one note out. Whoever reads the journal gives only lines whose sender journald itself
 * vouches for (_SYSTEMD_UNIT, _COMM, _PID=1): any program may print such a line.
 *
 * Formats, from the programs' sources: earlyoom 1.2 to 1.9 (kill.c), systemd 252 to 260
 * (oomd-util.c, oomd-manager.c, core/cgroup.c), nohang 0.3 (src/nohang), oomd of Meta
 * (BaseKillPlugin.cpp, Log.h), gunicorn (arbiter.py).
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_KILLERS_H
#define MEMHERD_AGENT_SENSE_OOM_KILLERS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"

/* X(NAME, name, unit): who; and the service whose log has its lines. */
#define KILLER_LIST(X)                                        \
	X(EARLYOOM, earlyoom, "earlyoom.service")             \
	X(SYSTEMD_OOMD, systemd_oomd, "systemd-oomd.service") \
	X(NOHANG, nohang, "nohang.service")                   \
	X(OOMD, oomd, "oomd.service")                         \
	X(PID1_OOM, systemd, "init.scope")                    \
	X(PID1_OOMD, systemd_oomd_count, "init.scope")        \
	X(PID1_STOP, systemd_stop, "init.scope")              \
	X(GUNICORN, gunicorn, "")

enum killer {
#define X(NAME, name, unit) KILLER_##NAME,
	KILLER_LIST(X)
#undef X
		KILLER_COUNT
};

/* X(NAME, help): what the line says. */
#define KILLER_ACT_LIST(X)                                                      \
	X(SIGNAL, "a signal was sent")                                          \
	X(ESCALATE, "the signal was not obeyed, SIGKILL follows")               \
	X(EXITED, "the victim is gone")                                         \
	X(SURVIVED, "the victim is still there")                                \
	X(UNIT, "processes of a unit were killed, said by the service manager") \
	X(STOP, "the service manager begins to stop a unit: no memory matter")  \
	X(STOPPED, "the service manager has stopped a unit, and says what for") \
	X(TIMEOUT, "a worker did not answer in time: no memory matter")

enum killer_act {
#define X(NAME, help) KILLER_ACT_##NAME,
	KILLER_ACT_LIST(X)
#undef X
		KILLER_ACT_COUNT
};

#define KILLER_COMM_SIZE   64
#define KILLER_TARGET_SIZE 512
#define KILLER_REASON_SIZE 256

struct killer_note {
	enum killer killer;
	enum killer_act act;
	int64_t pid;                     /* 0 = the line names none */
	int signal;                      /* 0 = the line names none */
	int64_t count;                   /* processes, where the line says so; 0 = not said */
	int64_t wall_us;                 /* set by the caller: when the line was written */
	char comm[KILLER_COMM_SIZE];     /* raw bytes */
	char target[KILLER_TARGET_SIZE]; /* cgroup path (begins with '/') or unit; raw bytes */
	char reason[KILLER_REASON_SIZE]; /* printable; "" when the line gives none */
};

/* systemd's MESSAGE_IDs (sd-messages.h): the note of PID 1 has UNIT= and maybe N_PROCESSES=.
 * STOPPING is written before the first signal, when a job stops a unit; not when it ended by itself
 * or was killed. STOPPED is written in both cases; its JOB_TYPE= tells a restart from a stop, which
 * that of STOPPING does not (systemd 252). */
#define KILLER_MESSAGE_UNIT_OOM  "fe6faa94e7774663a0da52717891d8ef"
#define KILLER_MESSAGE_UNIT_OOMD "d989611b15e44c9dbf31e3c81256e4ed"
#define KILLER_MESSAGE_STOPPING  "de5b426a63be47a7b6ac3eaac82e2f6f"
#define KILLER_MESSAGE_STOPPED   "9d1aaa27d60140bd96365438aad20286"

const char *killer_name(enum killer killer);

/*
 * One line of a program's log without its time and name prefix. True when it is a note. nohang's
 * block spans lines: state, zeroed before the first line, remembers the victim between them (NULL:
 * such lines are not understood). raw bytes in, of any length.
 */
struct killer_state {
	int64_t pid;
	char comm[KILLER_COMM_SIZE];
	char reason[KILLER_REASON_SIZE];
};
bool killer_parse(struct killer_state *state, const char *line, size_t len,
		  struct killer_note *ret) must_use;
/* The journal's fields of a note of PID 1; n_processes may be NULL. False for other MESSAGE_IDs. */
bool killer_from_pid1(const char *message_id, const char *unit, const char *n_processes,
		      struct killer_note *ret) must_use;

/* '/a/b' holds '/a/b' and '/a/b/c'. */
bool killer_path_holds(const char *outer, const char *inner);
/* True when the path of a cgroup has this unit among its names. */
bool killer_path_names(const char *path, const char *unit);
/* True when the note speaks of this process: its pid, or a cgroup that is or holds its cgroup, or a
 * unit that its cgroup path names. */
bool killer_matches(const struct killer_note *note, int64_t pid, const char *cgroup);

#endif
