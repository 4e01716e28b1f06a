/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_watch.h - what earlyoom, systemd-oomd, nohang, oomd and PID 1 wrote into systemd's
 * journal about kills for memory, and PID 1 about units that it stops. Owned by the gathering
 * process's loop, one thread; never blocks for long: what a poll may read is bounded, the library
 * reads indexed files.
 *
 * Open only while wanted: the library is loaded and the files are mapped at the first poll after
 * journal_watch_want(true), and let go a minute after journal_watch_want(false). Where it was is
 * remembered, so nothing is lost between, unless nobody wanted it for JOURNAL_FORGET_US.
 *
 * Measured with libsystemd 252 (x86-64): closed 0.1 MiB RSS, 0.03 MiB PSS more than before the
 * first opening; open with the current file alone 1.6 MiB RSS, 0.7 MiB PSS; each further file that
 * was rotated away since the last poll 0.6 MiB of page cache, at most three. A poll without news is
 * two stat(2) and 7 us of CPU time, opening 0.9 ms.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_JOURNAL_WATCH_H
#define MEMHERD_AGENT_SENSE_OOM_JOURNAL_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/sense/oom/killers.h"
#include "common/error.h"

#define JOURNAL_LINGER_US (60 * 1000000LL)  /* open for so long after the last need */
#define JOURNAL_FORGET_US (600 * 1000000LL) /* what was not read for so long explains nothing */
#define JOURNAL_RETRY_US  (60 * 1000000LL)  /* closed for so long after an error */

struct journal_watch;

/* NULL stands for what a host has; a test gives its own. Strings are copied. */
struct journal_watch_config {
	const char *dir;     /* a folder with a system.journal, instead of the system's two */
	const char *library; /* libsystemd.so.0 */
	const char *boot_id; /* 32 hex digits, instead of this boot's */
	const char *proc;    /* /proc */
	int64_t lookback_us; /* how far back the first poll begins, or one after JOURNAL_FORGET_US
			      */
};

struct journal_watch_counts {
	uint64_t entries;  /* read */
	uint64_t notes;    /* handed out */
	uint64_t foreign;  /* kills in another pid namespace: not handed out */
	uint64_t errors;   /* files that cannot be read, too */
	uint64_t left_out; /* files that were rotated away faster than they were read */
	bool open;
};

/*
 * Finds out whether there is anything to read: -ENOENT without systemd's library or a journal,
 * -EACCES when this user may not read it (group systemd-journal may): reasons for the posture, and
 * worth another try later.
 */
int journal_watch_new(const struct journal_watch_config *c, struct journal_watch **ret,
		      struct error *err) must_use;
void journal_watch_free(struct journal_watch **j);

/* True while such a killer is among the host's processes, or a death waits for its cause. */
void journal_watch_want(struct journal_watch *j, bool wanted);

/* A note: wall_us is set, and pid is one of our own pid namespace. Valid during the call. */
typedef void journal_watch_note_fn(const struct killer_note *note, void *arg);

/*
 * Hands out what was written since the last poll, at most 'budget' entries: the number of notes.
 * now_us is wall-clock time. On failure the journal is closed, and until JOURNAL_RETRY_US later
 * nothing is read; the same failure twice is returned once and counted twice.
 */
int journal_watch_poll(struct journal_watch *j, int64_t now_us, unsigned budget,
		       journal_watch_note_fn *on_note, void *arg, struct error *err) must_use;

const struct journal_watch_counts *journal_watch_counts(const struct journal_watch *j);

#endif
