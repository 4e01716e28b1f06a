/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_command.h - verbs on table 'command'. REST may list and get; only command/dispatch writes.
 */
#ifndef MEMHERD_COLLECTOR_STORE_STORE_COMMAND_H
#define MEMHERD_COLLECTOR_STORE_STORE_COMMAND_H

#include "collector/store/db.h"
#include "common/sign.h"
#include "proto/command.h"

#define ACTION_WORD_SIZE    24
#define ACTION_WAITING      "waiting_approval" /* the state */
#define ACTION_NAME_SIZE    256
#define ACTION_PARAMS_SIZE  256
#define ACTION_EFFECTS_SIZE 512
#define ACTION_HISTORY_SIZE 128

/* A whole row but its body: a copy, so it outlives the result. */
struct action_row {
	int32_t host_id;
	uint8_t cmd_id[16];
	char action[ACTION_WORD_SIZE]; /* COMMAND_ACTION_LIST's words */
	char state[ACTION_WORD_SIZE];  /* waiting_approval queued sent running done failed
					* ineffective  expired cancelled refused unknown */
	bool dry_run;
	int64_t proc_id;
	int32_t pid;
	char host[ACTION_NAME_SIZE];    /* '' when the host is gone */
	char process[ACTION_NAME_SIZE]; /* comm; '' when it was never stored */
	char actor[COMMAND_ACTOR_SIZE];
	char reason[COMMAND_REASON_SIZE];
	int64_t alert_id; /* 0 = none */
	int64_t counter;
	int64_t fence;
	int64_t created_us;
	int64_t expires_us;
	int64_t sent_us;    /* 0 = not yet */
	int64_t done_us;    /* 0 = not yet */
	int64_t rss_before; /* bytes; -1 = not measured, as the three below */
	int64_t rss_after;
	int64_t swap_before;
	int64_t swap_after;
	int64_t held_us;
	char detail[COMMAND_DETAIL_SIZE];
	char params[ACTION_PARAMS_SIZE];   /* a JSON object */
	char effects[ACTION_EFFECTS_SIZE]; /* JSON array, command/effect.h; '' = none yet */
	char verdict[ACTION_WORD_SIZE];    /* EFFECT_VERDICT_LIST's words; '' = not yet */
	int64_t verify_next_us;            /* when it is measured next; 0 = never (again) */
	char history[ACTION_HISTORY_SIZE]; /* what the same gave before; '' = nothing known */
	int64_t approved_us;               /* 0 = needed no second person, or not yet */
	char approved_by[COMMAND_ACTOR_SIZE];
	bool has_warrant;
	struct command_warrant warrant;
	bool has_request_hash;
	uint8_t request_hash[SHA256_SIZE];
	struct command_span journal; /* of a result that comes in; not of the table's row */
};

void store_command_row(const struct db_result *r, size_t i, struct action_row *ret);

struct command_filter {
	int32_t host_id;       /* 0 = all */
	const char *state;     /* NULL = all */
	int64_t alert_id;      /* 0 = all */
	int64_t before_us;     /* created before; 0 = from the newest */
	uint8_t before_id[16]; /* cmd_id of the last row of the page before, for equal times */
	int limit;
};
/* Newest first. */
int store_command_list(struct db *db, const struct command_filter *f, db_done *done,
		       void *arg) must_use;
/* One row or none. */
int store_command_get(struct db *db, const uint8_t cmd_id[16], db_done *done, void *arg) must_use;

/* ---- for command/dispatch ---- */

/* The row of an idempotency key, or none. */
int store_command_by_key(struct db_tx *tx, int32_t host_id, const char *actor, const char *key,
			 db_check *check) must_use;
/* What standdown_judge() wants to know of one more action, as one row in the order of its facts. */
int store_command_standdown(struct db_tx *tx, const struct action_row *row, const char *service,
			    db_check *check) must_use;
/* A row when an action other than this one that is no dry run is under way on its process (false),
 * or the same waits for approval there (true); else none. */
int store_command_open(struct db_tx *tx, const struct action_row *row, db_check *check) must_use;
/* The next value of the counter of that name: one int8. A transaction that is rolled back gives it
 * back, so it is used only after the commit. */
int store_counter_next(struct db_tx *tx, const char *name, db_check *check) must_use;
/* key may be NULL; then the row's request hash is not kept either. signed_body NULL: it waits for
 * approval. Gives the row. */
int store_command_add(struct db_tx *tx, const struct action_row *row, const char *key,
		      const struct command_request *signed_body, db_check *check) must_use;
/* A row when there is a command of that id already, else none. */
int store_command_known(struct db_tx *tx, const struct action_row *row, db_check *check) must_use;
/* A row while it waits for approval and is not over, else none. */
int store_command_waiting(struct db_tx *tx, const struct action_row *row, int64_t now_us,
			  db_check *check) must_use;
/* Takes counter, fence, expires_us, approved_us, approved_by and warrant of row; gives the row, or
 * none when it waits no longer. */
int store_command_approve(struct db_tx *tx, const struct action_row *row,
			  const struct command_request *signed_body, db_check *check) must_use;
/* Gives the row, or none when it neither waits for approval nor, since before before_us, for its
 * host. */
int store_command_cancel(struct db_tx *tx, const struct action_row *row, int64_t now_us,
			 int64_t before_us, const char *by, db_check *check) must_use;
/* The fence that a command is to carry, one row; none: leader was said, and does not lead. */
int store_command_fence(struct db_tx *tx, bool leader, db_check *check) must_use;
/* Unexpired open ones of a host in the order of their counters, for store_command_body; all are
 * 'sent' from then on. */
int store_command_pending(struct db *db, int32_t host_id, int64_t now_us, int limit, int writer,
			  db_done *done, void *arg) must_use;
/* Marks those of these hosts as sent that were issued before before_us and wait; rows as above. */
int store_command_claim(struct db *db, const int64_t *host_ids, size_t n, int64_t now_us,
			int64_t before_us, int writer, db_done *done, void *arg) must_use;
/* Actions of rules that were issued and ended after these times; for store_command_row. */
int store_command_finished(struct db *db, int64_t created_us, int64_t done_us, db_done *done,
			   void *arg) must_use;
struct command_body {
	int32_t host_id;
	uint8_t cmd_id[16];
	struct command_request request;
};
/* 0, or -EBADMSG when the stored bytes have not the right size. */
int store_command_body(const struct db_result *r, size_t i, struct command_body *ret) must_use;
int store_command_sent(struct db *db, int32_t host_id, const uint8_t cmd_id[16], int64_t now_us,
		       int writer, db_done *done, void *arg) must_use;
/* Takes state, measures, detail, done_us and verify_next_us (the first time) of row; gives the row,
 * or none when there is no such command or it has ended already. */
int store_command_finish(struct db_tx *tx, const struct action_row *row, db_check *check) must_use;
/* Ends one open command whose time is over; gives the row, or none. */
int store_command_expire(struct db_tx *tx, int64_t now_us, int64_t grace_us,
			 db_check *check) must_use;

/* An action whose effect is to be measured: its process and what to look for when that has ended.
 */
struct verify_due {
	int32_t host_id;
	uint8_t cmd_id[16];
	int64_t proc_id;
	int64_t done_us;
	int64_t due_us;
	int64_t rss_before;
	int64_t rss_after; /* -1 = not measured */
	char effects[ACTION_EFFECTS_SIZE];
	char service[ACTION_NAME_SIZE]; /* '' as the three below: never stored */
	char comm[ACTION_NAME_SIZE];
	char role[ACTION_WORD_SIZE];
	int32_t slot;
};
int store_command_verify_due(struct db *db, int64_t now_us, int limit, db_done *done,
			     void *arg) must_use;
/* 0, or -EBADMSG: it has no end. */
int store_command_due(const struct db_result *r, size_t i, struct verify_due *ret) must_use;
/* Takes effects, verdict and verify_next_us of row; gives the row, or none when due_us is not what
 * is due there. */
int store_command_effect(struct db_tx *tx, const struct action_row *row, int64_t due_us,
			 db_check *check) must_use;

#endif
