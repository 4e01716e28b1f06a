/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dispatch.h - the one way to an action on a host, for people and rules alike: checked, numbered,
 * signed, stored with its audit row in one transaction, sent, and its result stored.
 *
 *   dispatch_issue -> [queued] -> ops->send -> [sent] -> dispatch_result -> [done, failed, refused,
 *   ineffective, unknown]; not sent or not answered before it expires -> [expired]
 *
 *   of a kind that needs a second person: dispatch_issue -> [waiting_approval], unsigned ->
 *   dispatch_approve -> [queued] as above; dispatch_cancel -> [cancelled]; in time -> [expired]
 *
 * A command is sent again with the same id when its host connects again; memherd-actd runs an id at
 * most once. Nothing is sent before its row is committed. All calls from the loop.
 */
#ifndef MEMHERD_COLLECTOR_COMMAND_DISPATCH_H
#define MEMHERD_COLLECTOR_COMMAND_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/command/effect.h"
#include "collector/command/standdown.h"
#include "collector/store/store_command.h"
#include "common/error.h"
#include "common/sign.h"
#include "proto/command.h"

#define DISPATCH_EXPIRES_US     (5 * 60 * 1000000LL)
#define DISPATCH_EXPIRES_MAX_US (10 * 60 * 1000000LL)
#define DISPATCH_APPROVE_US     (3600 * 1000000LL)
#define DISPATCH_IN_FLIGHT_MAX  256 /* transactions of ours at once */
#define DISPATCH_KEY_MAX        128 /* bytes of an idempotency key */

struct db;
struct dispatch;
struct event_base;
struct refusal;
struct registry;
struct wire_event;

struct dispatch_ops {
	/* Puts a signed command on the host's connection. -ENOTCONN: it is not connected. */
	int (*send)(void *arg, int32_t host_id, const struct command_request *request);
	/* An action has ended (its row is committed). May be NULL. */
	void (*finished)(void *arg, const struct action_row *row);
	/* While we lead: a rule's action has ended, here or at another collector. Told more than
	 * once. May be NULL. */
	void (*ended)(void *arg, const struct action_row *row);
	/* While we lead: what an action gave back was measured for the last time, and row->verdict
	 * says what came of it. May be NULL. */
	void (*verified)(void *arg, const struct action_row *row);
	/* What a rule asked for with dispatch_issue is stored (rc 0), or is not (dispatch_done's
	 * rc; row is what was asked for). May be NULL. */
	void (*asked)(void *arg, int rc, const struct action_row *row, const struct error *err);
	/* An action is stored and waits for a second person. May be NULL. */
	void (*waits)(void *arg, const struct action_row *row);
	/* While we lead: a rule's action stands still for a while, row->detail says why. May be
	 * NULL. */
	void (*tripped)(void *arg, const struct action_row *row);
	/* A host's journal does not fit what it told before. May be NULL. */
	void (*journal_broken)(void *arg, const char *host, const char *why);
	void *arg;
};

#define DISPATCH_KIND(action) (1ull << (action)) /* enum command_action */

struct dispatch_config {
	struct db *db;
	struct registry *registry;       /* read only: who is connected, which processes live */
	const struct sign_key *key;      /* the command key */
	uint64_t fence;                  /* of commands where no lease was ever taken */
	int writer;                      /* store_writer() */
	int64_t stages_s[EFFECT_STAGES]; /* when effects are measured; zeros = effect_stages_s */
	struct standdown_limits limits;  /* zeros: none */
	uint64_t approve;                /* DISPATCH_KIND()s that need a second person */
	int64_t approve_within_us;       /* so long they wait for one; 0 = DISPATCH_APPROVE_US */
	bool remediation;                /* false: the kill switch, every request is refused */
	struct dispatch_ops ops;
};

struct action_request {
	int32_t host_id;
	int64_t proc_id;    /* of no meaning for an action on the whole host */
	const char *action; /* COMMAND_ACTION_LIST's words */
	bool dry_run;
	const char *actor;              /* 'token:ops', 'rule:frag' */
	const char *reason;             /* may be NULL */
	int64_t params[COMMAND_PARAMS]; /* what is meant: none is filled in */
	const char *text;               /* of the parameter that is one; NULL = none is */
	int64_t expires_us;             /* wall clock; 0 = DISPATCH_EXPIRES_US from now; of one that
					 * waits for approval: until then, 0 = approve_within */
	bool approve;                   /* needs a second person, whatever the configuration says */
	int64_t alert_id;               /* 0 = none */
	const char *idempotency_key;    /* NULL = none (rules) */
	uint8_t request_hash[SHA256_SIZE];
	const struct command_warrant *warrant; /* what an operator signed; NULL = nothing */
};

/*
 * rc 0: row is new. rc 1: row is what the same key gave before. Else row is NULL and rc is -EEXIST
 * (the key stands for another request), -EINVAL (its operator's signature was used), -EBUSY (an
 * action that is no dry run is under way on the process, and this is none either), -EBUSY, -EDQUOT
 * or -EAGAIN of standdown_judge() with its message, -EPERM (maintenance covers it, and it is no dry
 * run), -ESTALE (a rule's, and we lead no longer),
 * -EINPROGRESS (the commit's outcome is not known: ask again with the same key) or the database's
 * error.
 */
typedef void dispatch_done(void *arg, int rc, const struct action_row *row,
			   const struct error *err);

int dispatch_new(struct event_base *base, const struct dispatch_config *c, struct dispatch **ret,
		 struct error *err) must_use;
/* Drops what is under way without calling back; the rows stay as they are. The loop may not run
 * between this and db_free. */
void dispatch_free(struct dispatch **d);

/* 0: done will be called. Else it will not: -EPERM remediation is off, -EINVAL unknown action or a
 * bad field, -ENOENT unknown host, -ESRCH unknown process, -EOPNOTSUPP no memherd-actd there,
 * -ENOTCONN database away, -ENOBUFS too much under way. done may be NULL. */
int dispatch_issue(struct dispatch *d, const struct action_request *r, dispatch_done *done,
		   void *arg, struct error *err) must_use;
/*
 * A second person's word for what waits; row is how it was read, by the approver's name, operator
 * what he signed, or NULL: what the row has. 0: done
 * will be called, with -ENOENT when it waits no longer, else as of dispatch_issue. Or as
 * dispatch_issue, and -EALREADY: it does not wait, -EACCES: by asked for it, -ESRCH: its process
 * has ended.
 */
int dispatch_approve(struct dispatch *d, const struct action_row *row, const char *by,
		     const struct command_warrant *warrant, dispatch_done *done, void *arg,
		     struct error *err) must_use;
/* Gives up what waits for approval or for its host. 0: done will be called, with -ENOENT when it
 * does neither. */
int dispatch_cancel(struct dispatch *d, const struct action_row *row, const char *by,
		    dispatch_done *done, void *arg, struct error *err) must_use;
/* For who refuses somebody before he can ask here (REST): it is told of in the audit log, a
 * minute's (a rule's hour's) repetitions as one. What dispatch refuses itself it tells of itself.
 */
void dispatch_refused(struct dispatch *d, const struct refusal *r);
/* The host's connection is up: what waits for it is sent. */
void dispatch_host_up(struct dispatch *d, int32_t host_id);
/* A result frame's body, as it came from that host. -EBADMSG: it is none; -ENOTCONN or -ENOBUFS: it
 * cannot be stored now and the command stays open. */
int dispatch_result(struct dispatch *d, int32_t host_id, const void *data, size_t len,
		    struct error *err) must_use;
/* What a host did that no result tells: an event of kind 'action'. It may be told again. */
void dispatch_told(struct dispatch *d, int32_t host_id, const struct wire_event *e);
/* Whether results that came in elsewhere are asked for, and what is over expired. At first yes. */
void dispatch_lead(struct dispatch *d, bool leads);
/* The kill switch at run time. */
void dispatch_set_remediation(struct dispatch *d, bool on);
bool dispatch_remediation(const struct dispatch *d);

/* Pure: the state a result leads to. */
const char *dispatch_state_of(const struct command_result *r);

#endif
