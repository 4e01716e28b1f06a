/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_inner.h - an entry of the ledger, shared by ledger.c (entries, their audit rows, ends of
 * commands, breakers) and ledger_issue.c (what makes a command); nobody else includes it.
 */
#ifndef MEMHERD_COLLECTOR_COMMAND_LEDGER_INNER_H
#define MEMHERD_COLLECTOR_COMMAND_LEDGER_INNER_H

#include "collector/command/ledger.h"
#include "collector/store/store_audit.h"

#define LEDGER_ENTRY_MAGIC 0x656e7472u /* 'entr' */

struct entry {
	unsigned magic;
	struct ledger *ledger;
	struct entry *prev, *next; /* utlist */
	const char *what;          /* of the audit row: 'command.issue' */
	struct action_row row;
	struct command cmd;
	struct command_request request;
	const struct sign_key *sign;
	char key[LEDGER_KEY_SIZE];
	bool has_key;
	char service[ACTION_NAME_SIZE];
	char target[AUDIT_TARGET_SIZE];
	int64_t now_us; /* expire */
	int64_t due_us; /* effect */
	int64_t grace_us;
	bool waits;                  /* issue: stored unsigned, for somebody to approve */
	bool approves;               /* what waits is signed now */
	char by[COMMAND_ACTOR_SIZE]; /* who approves or cancels; '' = the row's actor */
	int verdict; /* decided by a check: what done gets instead of the roll-back's error */
	struct error why;
	ledger_done *done;
	void *arg;
};

/* A transaction whose first step is the audit table's lock. NULL: too many are under way. */
struct entry *ledger_entry_new(struct ledger *l, const char *what, ledger_done *done, void *arg);
/* Takes over e; steps are the transaction's, after the lock. */
int ledger_run(struct entry *e, int (*steps)(struct entry *e, struct db_tx *tx)) must_use;
/* The last check but one: the command's row is written; it is kept for done, and its audit row is
 * added. */
int ledger_on_row(void *arg, struct db_tx *tx, const struct db_result *r);

#endif
