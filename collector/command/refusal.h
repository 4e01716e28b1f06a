/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refusal.h - what was refused before it became a command, as a book: the first of a kind is told
 * at once, the same again within its time is counted and told as one number when that is over. Who
 * is refused a thousand times leaves a few rows. Pure: the clock comes in (boot clock), and
 * refusals.c writes.
 *
 * Time and bounds: a minute for people, an hour for rules, which ask again every 15 s; REFUSAL_EACH
 * kinds of an actor at a time, REFUSALS_MAX in all, the rest is counted together.
 */
#ifndef MEMHERD_COLLECTOR_COMMAND_REFUSAL_H
#define MEMHERD_COLLECTOR_COMMAND_REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/store/store_audit.h"
#include "collector/store/store_command.h"

#define REFUSALS_MAX      256
#define REFUSAL_EACH      20
#define REFUSAL_PEOPLE_US (60 * 1000000LL)
#define REFUSAL_RULES_US  (3600 * 1000000LL)
#define REFUSAL_WHAT_SIZE 16
#define REFUSAL_BY_SIZE   64 /* a token's name may be longer than an actor's of a command */

/* Texts are made safe and cut. */
struct refusal {
	const char *actor;
	const char *what;   /* issue, approve, cancel */
	const char *action; /* as it was asked for; '' = not known */
	const char *target; /* 'web-1:42', or as it was asked for */
	const char *why;
	int code; /* -errno that says the same though the text may not ('for another 3 min'), or 0
		   */
};

/* An entry of the book. */
struct refused {
	struct refused *prev, *next; /* utlist */
	char actor[REFUSAL_BY_SIZE];
	char what[REFUSAL_WHAT_SIZE];
	char action[ACTION_WORD_SIZE];
	char target[AUDIT_TARGET_SIZE];
	char why[COMMAND_DETAIL_SIZE];
	int code;
	bool rest;        /* whatever else its actor was refused */
	uint64_t times;   /* not told yet */
	int64_t since_us; /* wall clock: the first of these */
	int64_t due_us;   /* when they are told; without any, when the entry goes */
};

struct refusal_book {
	struct refused *entries; /* oldest first */
	unsigned n;
	struct refused several; /* of whom there is no room for */
};

void refusal_book_fini(struct refusal_book *b);
/* True: it is the first of its kind, for now. */
bool refusal_note(struct refusal_book *b, const struct refusal *r, int64_t now_us, int64_t wall_us);
/* Drops entries whose time is over, and gives one that is to be told now, or NULL. It stays the
 * book's, and in it until refusal_told(). */
struct refused *refusal_due(struct refusal_book *b, int64_t now_us);
/* So many of its times are in the log (or given up). */
void refusal_told(struct refused *e, uint64_t times, int64_t now_us, int64_t wall_us);
/* Is this a word of ours, rather than something that went wrong? */
bool refusal_is(int rc);

#endif
