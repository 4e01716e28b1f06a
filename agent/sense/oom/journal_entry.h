/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_entry.h - whose entries of the journal may be believed, and what they say. Pure.
 *
 * Fields whose name begins with '_' are journald's own statement about the sender
 * (systemd.journal-fields(7)); all others are whatever the sender wrote. A unit is believed because
 * PID 1 alone puts processes into it; a name (_COMM) alone may be taken by anybody, so it counts
 * with root only. And a program is believed in its own matters only: lines of earlyoom in the log
 * of nohang are nobody's.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_JOURNAL_ENTRY_H
#define MEMHERD_AGENT_SENSE_OOM_JOURNAL_ENTRY_H

#include "agent/sense/oom/killers.h"

#define JOURNAL_MESSAGE_SIZE 4096 /* what is behind is not read */

/* Strings are raw bytes, "" when the entry has no such field. */
struct journal_entry {
	char unit[256]; /* _SYSTEMD_UNIT */
	char comm[KILLER_COMM_SIZE];
	int64_t pid;         /* _PID: the sender's, as journald sees it; 0 = not told */
	int64_t uid;         /* _UID; -1 = not told */
	int64_t wall_us;     /* when it was written */
	char message_id[33]; /* and the two that go with PID 1's: */
	char about_unit[KILLER_TARGET_SIZE]; /* UNIT */
	char n_processes[24];
	char job_type[24]; /* JOB_TYPE: 'stop', 'restart' */
	size_t message_len;
	char message[JOURNAL_MESSAGE_SIZE];
};

/* The unit under which a killer logs: 'earlyoom.service'. NULL for what PID 1 says of others'
 * kills, and for programs without a log of their own. */
const char *journal_unit(enum killer killer);
/* Without a unit it logs under its own name: 'earlyoom', of this many bytes of the unit's. */
size_t journal_name_len(const char *unit);
/* True for a process of that name: then journal_watch_want(). */
bool journal_is_killer(const char *comm);

/* One state for each killer, zeroed before the first entry of a boot. */
struct journal_states {
	struct killer_state of[KILLER_COUNT];
};

enum journal_trust { JOURNAL_NOBODY, JOURNAL_BY_NAME, JOURNAL_BY_UNIT, JOURNAL_BY_PID1 };

/* Who says so: NOBODY when there is no note in it that may be believed (then *ret is not written),
 * else what the belief rests on. */
enum journal_trust journal_entry_judge(struct journal_states *states, const struct journal_entry *e,
				       struct killer_note *ret) must_use;

#endif
