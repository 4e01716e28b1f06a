/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.h - what was asked of this host and what came of it, so that a command is carried out at
 * most once: 'started' is on the disk before anything is done, 'done' after. A command that was
 * started and never done stays UNKNOWN and is not tried again.
 *
 * The file keeps the last JOURNAL_KEEP commands at least, in records of one size that are numbered
 * and chained by their hashes (journal_record.h); a record that was cut off at the end is dropped,
 * a damaged one in the middle, and one that does not follow the one before, refuses the file. Where
 * the chain stands is told with each result, so that the collector notices a file that goes back.
 * The daemon and 'memherd-actd trim' share it: all but open and free is called between lock and
 * unlock, which also keeps the host to one action at a time.
 */
#ifndef MEMHERD_AGENT_ACT_JOURNAL_H
#define MEMHERD_AGENT_ACT_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "proto/command.h"

#define JOURNAL_KEEP 1000 /* commands that are known */
#define JOURNAL_HOLD 3000 /* records that a shortened file has: of a command at most three */

struct journal;

struct journal_entry {
	uint8_t id[16];
	int64_t t_wall_us;
	enum command_action action;
	bool dry_run;
	bool done; /* result is set; else it was interrupted */
	bool note; /* what became of it later, in result; it was done already */
	uint32_t pid;
	uint64_t start_ticks;
	uint32_t subject; /* what is counted instead of the process; 0 = the process */
	uint64_t counter; /* 0: asked by hand */
	uint64_t fence;
	struct command_result result;
};

/* Makes the file (0600) when there is none. */
int journal_open(const char *path, struct journal **ret, struct error *err) must_use;
void journal_free(struct journal **j);

/* Takes the lock, waiting up to wait_us for another holder (-EBUSY), and reads what others wrote.
 */
int journal_lock(struct journal *j, int64_t wait_us, struct error *err) must_use;
void journal_unlock(struct journal *j);

/* What an id led to: the recorded result, or UNKNOWN for one that was only started, with the run of
 * records that tell of it. -ENOENT. */
int journal_find(const struct journal *j, const uint8_t id[16],
		 struct command_result *ret) must_use;
/* The highest counter and fence ever seen here. */
void journal_highest(const struct journal *j, uint64_t *ret_counter, uint64_t *ret_fence);
/* When the oldest of the commands that are known was, once older ones have been forgotten; else 0.
 */
int64_t journal_reach(const struct journal *j);
/* How often this action was carried out on this subject since then, and when last (0 = never). Of
 * 'like' action, subject, pid and start_ticks count. */
unsigned journal_count(const struct journal *j, const struct journal_entry *like, int64_t since_us,
		       int64_t *ret_last_us);

/* Appends the entry as started, as done when e->done, or as a note; on the disk when it returns 0.
 */
int journal_append(struct journal *j, const struct journal_entry *e, struct error *err) must_use;

/* The head, as a run of no record. */
void journal_head(const struct journal *j, struct command_span *ret);

/* What the host did that no result of a command tells: by hand, cut short, or a note. */
struct journal_news {
	struct journal_entry entry; /* its result.journal: the run that tells of it */
	bool by_hand;
	bool any; /* false: nothing more, and only through is set */
	uint64_t through;
};
/* The first after that number; through: up to where was looked. Older ones than the file has are
 * left out. */
int journal_next(const struct journal *j, uint64_t after, struct journal_news *ret,
		 struct error *err) must_use;

#endif
