/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.h - what is written about commands: each entry is one transaction that changes the
 * command's row and adds the audit row that tells of it, or does neither. dispatch.c is the one
 * user.
 */
#ifndef MEMHERD_COLLECTOR_COMMAND_LEDGER_H
#define MEMHERD_COLLECTOR_COMMAND_LEDGER_H

#include "collector/command/standdown.h"
#include "collector/store/store_breaker.h"
#include "collector/store/store_command.h"
#include "common/sign.h"

#define LEDGER_IN_FLIGHT_MAX 256
#define LEDGER_KEY_SIZE      129 /* of an idempotency key, with its NUL */

struct entry;

struct ledger {
	struct db *db;
	struct standdown_limits limits;
	struct entry *entries; /* under way */
	unsigned in_flight;
};

/*
 * rc 0: written, row is how it stands now (in failure: as it was handed in). rc 1 (issue): the key
 * had led to row already. -EEXIST (issue): the key stands for another request.
 * -EINVAL (issue): its operator's signature was used already. -EBUSY (issue):
 * another action is under way on the process; that, -EDQUOT and -EAGAIN (issue): as
 * standdown_judge() has it, with its message. -EPERM (issue, approve): maintenance covers it, err
 * says which. -ENOENT (finish, expire): nothing to do. Else the
 * database's error. body is the signed command (issue, rc 0), else NULL. From the loop, once.
 */
typedef void ledger_done(void *arg, int rc, const struct action_row *row,
			 const struct command_request *body, const struct error *err);

void ledger_init(struct ledger *l, struct db *db, const struct standdown_limits *limits);
/* Forgets what is under way without calling back: the loop may not run between this and db_free. */
void ledger_fini(struct ledger *l);

/* service: of the process, '' for none. cmd lacks only its counter, row its body's numbers. key may
 * be NULL. The signing key must outlive the entry. */
int ledger_issue(struct ledger *l, const struct action_row *row, const struct command *cmd,
		 const char *service, const char *key, const struct sign_key *sign,
		 ledger_done *done, void *arg) must_use;
/* As ledger_issue, but unsigned: for somebody to approve. */
int ledger_wait(struct ledger *l, const struct action_row *row, const struct command *cmd,
		const char *service, const char *key, ledger_done *done, void *arg) must_use;
/* What waits is judged again, numbered and signed, once; row has expires_us, approved_us and
 * approved_by. -ENOENT: it waits no longer; else as ledger_issue. */
int ledger_approve(struct ledger *l, const struct action_row *row, const struct command *cmd,
		   const char *service, const struct sign_key *sign, ledger_done *done,
		   void *arg) must_use;
/* Gives up what waits for approval, or has been queued for grace_us. -ENOENT: it does neither. */
int ledger_cancel(struct ledger *l, const struct action_row *row, const char *by, int64_t now_us,
		  int64_t grace_us, ledger_done *done, void *arg) must_use;
/* state, measures, detail, done_us and verify_next_us of an open command of that host. */
int ledger_finish(struct ledger *l, const struct action_row *row, ledger_done *done,
		  void *arg) must_use;
/* Gives up one command whose time is over. */
int ledger_expire(struct ledger *l, int64_t now_us, int64_t grace_us, ledger_done *done,
		  void *arg) must_use;
/* effects, verdict and verify_next_us of a command where due_us was due; only the verdict has an
 * audit row. -ENOENT: somebody measured it already. */
int ledger_effect(struct ledger *l, const struct action_row *row, int64_t due_us, ledger_done *done,
		  void *arg) must_use;
/* Opens the breaker of row's actor and action when their results say so: rc 0, and row's detail
 * says it. -ENOENT: they do not. */
int ledger_trip(struct ledger *l, const struct action_row *row, ledger_done *done,
		void *arg) must_use;

#endif
