/* SPDX-License-Identifier: Apache-2.0 */
/*
 * teller.h - what was found, as records for the owner: kills as dossiers, ends as events. Asks the
 * ring, the table and the cgroup tree who is meant; of /proc only the victim and the trigger, one
 * small file each. Belongs to oom.c.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_TELLER_H
#define MEMHERD_AGENT_SENSE_OOM_TELLER_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/sense/oom/deaths.h"
#include "agent/sense/oom/dossier.h"
#include "agent/sense/oom/oom.h"
#include "agent/sense/procdir.h"

/* Events in a second: beyond it they are counted. Ends for memory have a share of their own. */
#define TELLER_PER_SECOND 50u

struct teller_share {
	int64_t since_us;
	unsigned used;
};

struct teller {
	const struct oom_config *cfg;
	struct procdir proc;      /* fd -1: not open */
	struct ring_grown *grown; /* of ring round grown_t_us; NULL */
	size_t n_grown;
	int64_t spans_us[RING_SPANS];
	int64_t grown_t_us;
	int64_t grown_at_us;
	int64_t counter; /* vmstat's oom_kill in the last round */
	uint64_t since;  /* kills told since */
	uint64_t kills;
	uint64_t deaths;
	uint64_t held_back; /* of the events: in all */
	uint64_t untold;    /* of these: not yet said */
	struct teller_share oom_share;
	struct teller_share share;
	struct teller_share own_share; /* of dossiers that are not the kernel's */
	bool sshd_unprotected;
	/* Of the kill that is being told. */
	int64_t victim_pid;
	uint64_t victim_start;
	/* The kernel's last lines of a report. */
	char invoked[DOSSIER_LINE_SIZE];
	char limit[DOSSIER_LINE_SIZE];
	char oom_kill[DOSSIER_LINE_SIZE + OOM_PATH_SIZE];
};

void teller_init(struct teller *t, const struct oom_config *cfg);
void teller_fini(struct teller *t);

/* A record of the kernel: the lines that a dossier quotes are kept. */
void teller_hear(struct teller *t, const char *text, size_t len);
/* The kernel's kill; line: its record. ret_start: the victim's start ticks, 0 = not known. What the
 * owner's op gave, or -ENOMEM. */
int teller_kill(struct teller *t, const struct oom_kill *k, const char *line, bool replayed,
		uint64_t *ret_start) must_use;
/* An end with its verdict; a dossier too when it was for memory and the kernel said nothing.
 * log_open: the kernel's log is read, its silence means something. */
void teller_death(struct teller *t, const struct death_end *e, bool log_open);
/* The kernel marked a victim of whom nothing else is known. */
void teller_mark(struct teller *t, const struct mark *m);
/* A killer in user space sent a signal to one of whom nothing else is known: a kill, unless it is
 * still there. */
void teller_note(struct teller *t, const struct killer_note *n);
/* An event without process. n pairs of key and value. */
void teller_event(struct teller *t, enum wire_event_kind kind, const char *text,
		  const char *const *keys, const char *const *values, size_t n);
/* A round has been: what was cached of the ring is let go; what was held back is told. */
void teller_round(struct teller *t, int64_t counter);

#endif
