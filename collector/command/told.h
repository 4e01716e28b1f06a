/* SPDX-License-Identifier: Apache-2.0 */
/*
 * told.h - what hosts tell of their journals of actions: with each result, and of what no result
 * tells: actions by hand, ones that were cut short, what became of one later. Each is one
 * transaction that holds it against what was told before, and adds the audit rows: host.action,
 * host.cut_short, host.note, and journal.broken or journal.unknown where the two sides disagree.
 *
 * What was told already changes nothing, so it may be told again. What cannot be stored now is kept
 * and tried again.
 */
#ifndef MEMHERD_COLLECTOR_COMMAND_TOLD_H
#define MEMHERD_COLLECTOR_COMMAND_TOLD_H

#include "collector/store/store_command.h"

#define TOLD_MAX 256 /* that wait */

struct told;

/* X(NAME, word): what of; the word is an event's detail 'what'. */
#define TOLD_LIST(X)            \
	X(RESULT, result)       \
	X(BY_HAND, by_hand)     \
	X(CUT_SHORT, cut_short) \
	X(NOTE, note)

enum told_what {
#define X(NAME, word) TOLD_##NAME,
	TOLD_LIST(X)
#undef X
};

struct told_item {
	enum told_what what;
	int32_t host_id;
	uint8_t cmd_id[16];
	struct command_span run;
	/* of what is no result */
	char action[ACTION_WORD_SIZE];
	char status[ACTION_WORD_SIZE];
	bool dry_run;
	int32_t pid;
	int64_t t_us; /* the host's clock */
	char detail[COMMAND_DETAIL_SIZE];
};

struct told_config {
	struct db *db;
	/* A journal does not fit what was told before; why is a sentence. May be NULL. */
	void (*broken)(void *arg, const char *host, const char *why);
	void *arg;
};

int told_new(const struct told_config *c, struct told **ret) must_use;
void told_free(struct told **t);
/* A run without records says nothing, and is left out. */
void told_add(struct told *t, const struct told_item *item);
/* Once a second: what could not be stored. */
void told_turn(struct told *t);

/* An event of kind 'action' as an agent tells it; false when it makes no sense. Pure. */
struct wire_event;
bool told_of_event(int32_t host_id, const struct wire_event *e, struct told_item *ret);

#endif
