/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/dispatch.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <string.h>
#include <utlist.h>

#include "collector/command/breaker.h"
#include "collector/command/ledger.h"
#include "collector/command/params.h"
#include "collector/command/route.h"
#include "collector/command/told.h"
#include "collector/command/verify.h"
#include "collector/fleet/registry.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define DISPATCH_MAGIC  0x64697370u /* 'disp' */
#define ASKER_MAGIC     0x61736b65u
#define TICK_S          1
#define ANSWER_GRACE_US (120 * USEC_PER_SEC) /* for the answer to a command that was sent */
#define PENDING_LIMIT   64
#define SWITCHED_OFF    "remediation is switched off on this collector"
#define HELD_MAX        64
#define CANCEL_AGE_US   USEC_PER_SEC /* what is younger is on its way */

_Static_assert(DISPATCH_KEY_MAX + 1 == LEDGER_KEY_SIZE, "a key fits the ledger's");
_Static_assert(EFFECT_TEXT_SIZE == ACTION_EFFECTS_SIZE, "effects fit a row");
_Static_assert(DISPATCH_IN_FLIGHT_MAX == LEDGER_IN_FLIGHT_MAX, "one limit");

/* A result that could not be stored yet. */
struct held {
	struct held *prev, *next; /* utlist */
	struct action_row row;
};

/* Who waits for dispatch_issue's answer. */
struct asker {
	unsigned magic;
	struct asker *prev, *next; /* utlist */
	struct dispatch *dispatch;
	dispatch_done *done;
	void *arg;
};

struct dispatch {
	unsigned magic;
	struct dispatch_config config;
	struct ledger ledger;
	struct event *timer;
	struct asker *askers;
	struct held *held; /* oldest first */
	unsigned held_count;
	struct route *route;
	struct verify *verify;
	struct breaker *breaker;
	struct told *told;
	bool leads;
	bool expiring;
};

/* ---- sending ---- */

static void on_noted(void *arg, int rc, const struct db_result *r unused_arg,
		     const struct error *err)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	/* the row stays 'queued' and goes out again: the host runs it once all the same */
	if (rc < 0)
		log_warn("command error=\"sent, but not noted: %s\"", err ? err->msg : "");
}

static int send_to_host(struct dispatch *d, int32_t host_id, const uint8_t cmd_id[16],
			const struct command_request *request)
{
	const struct dispatch_ops *ops = &d->config.ops;
	char id[UUID_TEXT_SIZE];
	int rc = ops->send(ops->arg, host_id, request);

	uuid_text(id, cmd_id);
	if (rc < 0) {
		log_debug("command=%s host=%d event=not_sent error=\"%s\"", id, host_id,
			  strerror(-rc));
		return rc;
	}
	log_info("command=%s host=%d event=sent", id, host_id);
	(void)!store_command_sent(d->config.db, host_id, cmd_id, clock_wall_us(), d->config.writer,
				  on_noted, d);
	return 0;
}

static bool is_connected(const struct dispatch *d, int32_t host_id)
{
	const struct host *h = registry_find_host(d->config.registry, host_id);

	return h && h->connected;
}

static void send_pending(struct dispatch *d, int rc, const struct db_result *r,
			 const struct error *err)
{
	if (rc < 0) {
		log_warn("command error=\"cannot read what is to be sent: %s\"",
			 err ? err->msg : "");
		return;
	}
	if (!d->config.remediation)
		return;
	for (size_t i = 0; i < db_rows(r); i++) {
		struct command_body b;

		if (store_command_body(r, i, &b) < 0 || !is_connected(d, b.host_id))
			continue;
		(void)send_to_host(d, b.host_id, b.cmd_id, &b.request);
	}
}

static void on_pending(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	send_pending(d, rc, r, err);
}

/* One that goes missing on its way is sent again when its host connects again. */
static void on_routed(void *arg, const struct command_body *b)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	(void)send_to_host(d, b->host_id, b->cmd_id, &b->request);
}

void dispatch_host_up(struct dispatch *d, int32_t host_id)
{
	int64_t now_us = clock_wall_us();
	int rc;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (!d->config.remediation)
		return;
	rc = store_command_pending(d->config.db, host_id, now_us, PENDING_LIMIT, d->config.writer,
				   on_pending, d);
	/* what was never sent is found by the timer; the rest expires and is asked for anew */
	if (rc < 0)
		log_warn("host=%d error=\"cannot look for its commands: %s\"", host_id,
			 strerror(-rc));
}

/* ---- issuing ---- */

/* A dry run changes nothing, so one person may look. */
static bool needs_approval(const struct dispatch *d, const struct action_request *r)
{
	int action = command_action_find(r->action);

	return !r->dry_run && (r->approve || (d->config.approve & DISPATCH_KIND(action)));
}

static int check_expiry(const struct dispatch *d, const struct action_request *r, int64_t now_us,
			int64_t *ret, struct error *err)
{
	int64_t span_us = needs_approval(d, r) ? d->config.approve_within_us : DISPATCH_EXPIRES_US;

	*ret = r->expires_us ? r->expires_us : now_us + span_us;
	if (*ret <= now_us)
		return error_set(err, -EINVAL, "the action has expired already");
	if (*ret > now_us + MAX_OF(span_us, DISPATCH_EXPIRES_MAX_US))
		return error_set(err, -EINVAL, "an action expires within 10 min at most");
	return 0;
}

static int check_fields(const struct action_request *r, struct error *err)
{
	if (!r->action || command_action_find(r->action) < 0)
		return error_set(err, -EINVAL, "unknown action '%.40s'",
				 r->action ? r->action : "");
	if (command_params_check((enum command_action)command_action_find(r->action), r->params,
				 err) < 0 ||
	    command_text_check((enum command_action)command_action_find(r->action), r->params,
			       r->text ? r->text : "", err) < 0)
		return -EINVAL;
	if (!r->actor || !*r->actor || strlen(r->actor) >= COMMAND_ACTOR_SIZE)
		return error_set(err, -EINVAL, "the actor's name has 1 to %d bytes",
				 COMMAND_ACTOR_SIZE - 1);
	if (!str_is_safe(r->actor, strlen(r->actor)))
		return error_set(err, -EINVAL, "the actor's name has a control character");
	if (r->idempotency_key &&
	    (!*r->idempotency_key || strlen(r->idempotency_key) > DISPATCH_KEY_MAX ||
	     !str_is_safe(r->idempotency_key, strlen(r->idempotency_key))))
		return error_set(err, -EINVAL,
				 "an idempotency key has 1 to %d bytes and no control character",
				 DISPATCH_KEY_MAX);
	return 0;
}

static void fill_row(struct action_row *row, const struct dispatch *d,
		     const struct action_request *r, const struct process *p, int64_t now_us,
		     int64_t expires_us)
{
	*row = (struct action_row){
		.host_id = r->host_id,
		.dry_run = r->dry_run,
		.proc_id = p->proc_id,
		.pid = (int32_t)p->pid,
		.alert_id = r->alert_id,
		.fence = (int64_t)d->config.fence,
		.created_us = now_us,
		.expires_us = expires_us,
	};
	random_bytes(row->cmd_id, sizeof(row->cmd_id));
	row->cmd_id[6] = (uint8_t)((row->cmd_id[6] & 0x0f) | 0x40); /* RFC 9562: version 4 */
	row->cmd_id[8] = (uint8_t)((row->cmd_id[8] & 0x3f) | 0x80);
	(void)str_copy(row->action, sizeof(row->action), r->action);
	(void)str_copy(row->actor, sizeof(row->actor), r->actor);
	if (r->reason)
		str_safe(row->reason, sizeof(row->reason), r->reason, strlen(r->reason));
	memcpy(row->request_hash, r->request_hash, sizeof(row->request_hash));
}

static void fill_command(struct command *c, const struct action_row *row, const struct host *h,
			 const struct process *p)
{
	*c = (struct command){
		.action = (enum command_action)command_action_find(row->action),
		.dry_run = row->dry_run,
		.pid = p->pid,
		.start_ticks = p->start_ticks,
		.issued_us = row->created_us,
		.expires_us = row->expires_us,
		.fence = (uint64_t)row->fence,
	};
	memcpy(c->id, row->cmd_id, sizeof(c->id));
	memcpy(c->host_uuid, h->uuid, sizeof(c->host_uuid));
	memcpy(c->boot_id, h->boot_id, sizeof(c->boot_id));
	(void)str_copy(c->actor, sizeof(c->actor), row->actor);
	(void)str_copy(c->reason, sizeof(c->reason), row->reason);
}

static int params_told(struct action_row *row, const struct command *cmd, struct error *err)
{
	auto_free char *text = params_to_json(cmd->action, cmd->params, cmd->reason);

	if (!text || !str_copy(row->params, sizeof(row->params), text))
		return error_set(err, -ENOMEM, "no memory for the parameters");
	return 0;
}

/* In the place of a process: of no pid, no start and no service. */
static const struct process whole_host = {.service = (char *)(uintptr_t) ""};

static int find_target(const struct dispatch *d, const char *action, int32_t host_id,
		       int64_t proc_id, const struct host **ret_host,
		       const struct process **ret_process, struct error *err)
{
	struct host *h = registry_find_host(d->config.registry, host_id);
	const struct process *p;

	if (!h)
		return error_set(err, -ENOENT, "unknown host %d", host_id);
	if (h->connected && !h->act)
		return error_set(err, -EOPNOTSUPP, "no memherd-actd answers on host '%s'",
				 h->name ? h->name : "");
	p = command_action_of_host((unsigned)command_action_find(action))
		    ? &whole_host
		    : registry_find_process(h, proc_id);
	if (!p)
		return error_set(err, -ESRCH, "no process %" PRId64 " lives on host '%s'", proc_id,
				 h->name ? h->name : "");
	*ret_host = h;
	*ret_process = p;
	return 0;
}

/* What an operator signed is of this action, and lasts: no longer than it does the action. Whose it
 * is the host knows. */
static int take_warrant(struct action_row *row, struct command *cmd,
			const struct command_warrant *o, int64_t now_us, struct error *err)
{
	struct command_statement s;

	if (!o)
		return 0;
	if (command_statement_unpack(o->statement, &s, err) < 0)
		return -EINVAL;
	if (strcmp(row->state, ACTION_WAITING) != 0) {
		memcpy(row->cmd_id, s.id, sizeof(row->cmd_id));
		memcpy(cmd->id, s.id, sizeof(cmd->id));
	}
	if (command_statement_fits(&s, cmd, err) < 0)
		return -EINVAL;
	if (s.expires_us <= now_us)
		return error_set(err, -EINVAL, "the operator's signature has expired");
	row->has_warrant = true;
	row->warrant = *o;
	row->expires_us = MIN_OF(row->expires_us, s.expires_us);
	cmd->expires_us = row->expires_us;
	command_warrant_hash(cmd->warrant_hash, o);
	return 0;
}

/* The registry's pointers are good until the loop turns: row and command take what they need. */
static int prepare(const struct dispatch *d, const struct action_request *r, int64_t now_us,
		   struct action_row *row, struct command *cmd, const char **ret_service,
		   struct error *err)
{
	const struct host *h;
	const struct process *p;
	int64_t expires_us = 0;
	int rc = check_expiry(d, r, now_us, &expires_us, err);

	if (rc == 0)
		rc = find_target(d, r->action, r->host_id, r->proc_id, &h, &p, err);
	if (rc < 0)
		return rc;
	fill_row(row, d, r, p, now_us, expires_us);
	fill_command(cmd, row, h, p);
	*ret_service = p->service;
	memcpy(cmd->params, r->params, sizeof(cmd->params));
	if (r->text)
		(void)str_copy(cmd->reason, sizeof(cmd->reason), r->text);
	rc = take_warrant(row, cmd, r->warrant, now_us, err);
	return rc < 0 ? rc : params_told(row, cmd, err);
}

static void asker_free(struct asker *a)
{
	DL_DELETE(a->dispatch->askers, a);
	a->magic = 0;
	free(a);
}

static void log_issue(const struct action_row *row)
{
	char id[UUID_TEXT_SIZE];

	uuid_text(id, row->cmd_id);
	log_info(
		"command=%s host=%d event=issued state=%s action=%s pid=%d dry_run=%d actor=\"%s\" "
		"counter=%" PRId64,
		id, row->host_id, row->state, row->action, row->pid, row->dry_run, row->actor,
		row->counter);
}

static void log_approval(const struct action_row *row)
{
	char id[UUID_TEXT_SIZE];

	uuid_text(id, row->cmd_id);
	log_info("command=%s host=%d event=approved by=\"%s\" actor=\"%s\" counter=%" PRId64, id,
		 row->host_id, row->approved_by, row->actor, row->counter);
}

static void tell_end(struct dispatch *d, const struct action_row *row)
{
	const struct dispatch_ops *ops = &d->config.ops;
	char id[UUID_TEXT_SIZE];

	uuid_text(id, row->cmd_id);
	log_info("command=%s host=%d event=end state=%s rss_before=%" PRId64 " rss_after=%" PRId64
		 " detail=\"%s\"",
		 id, row->host_id, row->state, row->rss_before, row->rss_after, row->detail);
	if (ops->finished)
		ops->finished(ops->arg, row);
}

static void tell_asked(struct dispatch *d, int rc, const struct action_row *row,
		       const struct error *err)
{
	if (d->config.ops.asked && str_starts(row->actor, "rule:"))
		d->config.ops.asked(d->config.ops.arg, rc, row, err);
}

static void tell_asker(struct asker *a, int rc, const struct action_row *row,
		       const struct error *err)
{
	dispatch_done *done = a->done;
	void *arg = a->arg;

	asker_free(a);
	if (done)
		done(arg, rc, rc >= 0 ? row : NULL, err);
}

/* Stored and signed: to its host, when that is here. Any other collector's turn finds it. */
static void send_stored(struct dispatch *d, struct action_row *row,
			const struct command_request *body)
{
	if (!is_connected(d, row->host_id) || send_to_host(d, row->host_id, row->cmd_id, body) < 0)
		return;
	(void)str_copy(row->state, sizeof(row->state), "sent");
	row->sent_us = clock_wall_us();
}

static bool is_judgement(int rc)
{
	return rc == -EBUSY || rc == -EAGAIN || rc == -EDQUOT;
}

static void on_issued(void *arg, int rc, const struct action_row *row,
		      const struct command_request *body, const struct error *err)
{
	struct error taken;
	struct asker *a = arg;
	struct action_row now;

	MAGIC_CHECK(a, ASKER_MAGIC);
	now = *row;
	if (rc == -EEXIST) {
		error_set(&taken, rc, "this idempotency key was used for another request");
		err = &taken;
	} else if (rc < 0 && rc != -EINVAL && !is_judgement(rc)) {
		log_warn("command event=not_issued error=\"%s\"", err ? err->msg : strerror(-rc));
	}
	if (rc == 0)
		log_issue(row);
	if (rc == 0 && strcmp(row->state, ACTION_WAITING) != 0)
		send_stored(a->dispatch, &now, body);
	else if (rc == 0 && a->dispatch->config.ops.waits)
		a->dispatch->config.ops.waits(a->dispatch->config.ops.arg, &now);
	tell_asked(a->dispatch, rc, &now, err);
	tell_asker(a, rc, &now, err);
}

static struct asker *asker_new(struct dispatch *d, dispatch_done *done, void *arg)
{
	struct asker *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	*a = (struct asker){.magic = ASKER_MAGIC, .dispatch = d, .done = done, .arg = arg};
	DL_APPEND(d->askers, a);
	return a;
}

static int ask(struct dispatch *d, const struct action_request *r, const struct action_row *row,
	       const struct command *cmd, const char *service, dispatch_done *done, void *arg)
{
	struct asker *a = asker_new(d, done, arg);
	int rc;

	if (!a)
		return -ENOMEM;
	if (needs_approval(d, r))
		rc = ledger_wait(&d->ledger, row, cmd, service, r->idempotency_key, on_issued, a);
	else
		rc = ledger_issue(&d->ledger, row, cmd, service, r->idempotency_key, d->config.key,
				  on_issued, a);
	if (rc < 0)
		asker_free(a);
	return rc;
}

int dispatch_issue(struct dispatch *d, const struct action_request *r, dispatch_done *done,
		   void *arg, struct error *err)
{
	struct action_row row = {.host_id = 0};
	struct command cmd = {.pid = 0};
	const char *service = "";
	int rc;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (!d->config.remediation)
		return error_set(err, -EPERM, SWITCHED_OFF);
	rc = check_fields(r, err);
	if (!rc)
		rc = prepare(d, r, clock_wall_us(), &row, &cmd, &service, err);
	if (rc < 0)
		return rc;
	rc = ask(d, r, &row, &cmd, service, done, arg);
	return rc < 0 ? error_sys(err, rc, "cannot store the action") : 0;
}

/* ---- a second person's word ---- */

static void on_approved(void *arg, int rc, const struct action_row *row,
			const struct command_request *body, const struct error *err)
{
	struct asker *a = arg;
	struct action_row now;

	MAGIC_CHECK(a, ASKER_MAGIC);
	now = *row;
	if (rc == 0) {
		log_approval(row);
		send_stored(a->dispatch, &now, body);
	} else if (rc != -ENOENT && !is_judgement(rc)) {
		log_warn("command event=not_approved error=\"%s\"", err ? err->msg : strerror(-rc));
	}
	tell_asker(a, rc, &now, err);
}

/* The same process still, the same parameters, a new time to expire. */
static int prepare_approval(const struct dispatch *d, struct action_row *row, struct command *cmd,
			    const struct command_warrant *warrant, const char **ret_service,
			    struct error *err)
{
	const struct host *h;
	const struct process *p;
	int64_t params[COMMAND_PARAMS];
	const char *text = NULL; /* lives in told */
	json_t *told;
	int rc = find_target(d, row->action, row->host_id, row->proc_id, &h, &p, err);

	if (rc < 0)
		return rc;
	told = json_loads(row->params, 0, NULL);
	rc = params_from_json((enum command_action)command_action_find(row->action), told, params,
			      &text, err);
	if (rc == 0) {
		row->approved_us = clock_wall_us();
		row->expires_us = row->approved_us + DISPATCH_EXPIRES_US;
		fill_command(cmd, row, h, p);
		cmd->issued_us = row->approved_us;
		memcpy(cmd->params, params, sizeof(cmd->params));
		if (text)
			(void)str_copy(cmd->reason, sizeof(cmd->reason), text);
		*ret_service = p->service;
	}
	json_decref(told);
	return rc < 0 ? rc : take_warrant(row, cmd, warrant, row->approved_us, err);
}

static int check_approver(const struct action_row *row, const char *by, struct error *err)
{
	if (strcmp(row->state, ACTION_WAITING) != 0)
		return error_set(err, -EALREADY, "the action does not wait for approval: it is %s",
				 row->state);
	if (!*by || strlen(by) >= COMMAND_ACTOR_SIZE)
		return error_set(err, -EINVAL, "the approver's name has 1 to %d bytes",
				 COMMAND_ACTOR_SIZE - 1);
	if (strcmp(row->actor, by) == 0)
		return error_set(err, -EACCES, "'%s' asked for it: somebody else has to approve it",
				 by);
	if (command_action_find(row->action) < 0)
		return error_set(err, -EINVAL, "unknown action '%.40s'", row->action);
	return 0;
}

int dispatch_approve(struct dispatch *d, const struct action_row *waiting, const char *by,
		     const struct command_warrant *warrant, dispatch_done *done, void *arg,
		     struct error *err)
{
	struct action_row row = *waiting;
	struct command cmd = {.pid = 0};
	const char *service = "";
	struct asker *a;
	int rc;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (!warrant && waiting->has_warrant)
		warrant = &waiting->warrant;
	if (!d->config.remediation)
		return error_set(err, -EPERM, SWITCHED_OFF);
	rc = check_approver(&row, by, err);
	if (!rc)
		rc = prepare_approval(d, &row, &cmd, warrant, &service, err);
	if (rc < 0)
		return rc;
	(void)str_copy(row.approved_by, sizeof(row.approved_by), by);
	a = asker_new(d, done, arg);
	rc = a ? ledger_approve(&d->ledger, &row, &cmd, service, d->config.key, on_approved, a)
	       : -ENOMEM;
	if (rc < 0 && a)
		asker_free(a);
	return rc < 0 ? error_sys(err, rc, "cannot store the approval") : 0;
}

static void on_cancelled(void *arg, int rc, const struct action_row *row,
			 const struct command_request *body unused_arg, const struct error *err)
{
	struct asker *a = arg;

	MAGIC_CHECK(a, ASKER_MAGIC);
	if (rc == 0)
		tell_end(a->dispatch, row);
	else if (rc != -ENOENT)
		log_warn("command event=not_cancelled error=\"%s\"",
			 err ? err->msg : strerror(-rc));
	tell_asker(a, rc, row, err);
}

int dispatch_cancel(struct dispatch *d, const struct action_row *row, const char *by,
		    dispatch_done *done, void *arg, struct error *err)
{
	struct asker *a = asker_new(d, done, arg);
	int rc = a ? ledger_cancel(&d->ledger, row, by, clock_wall_us(), CANCEL_AGE_US,
				   on_cancelled, a)
		   : -ENOMEM;

	if (rc < 0 && a)
		asker_free(a);
	return rc < 0 ? error_sys(err, rc, "cannot store that it is cancelled") : 0;
}

/* ---- results ---- */

/* Gains nothing: at least 95 % of what was there is there still. */
static bool is_ineffective(const struct command_result *r)
{
	if (r->rss_before <= 0 || r->rss_after < 0)
		return false;
	return (double)r->rss_after * 100 >= (double)r->rss_before * EFFECT_NONE_PERCENT;
}

const char *dispatch_state_of(const struct command_result *r)
{
	switch (r->status) {
	case COMMAND_DONE:
		return is_ineffective(r) ? "ineffective" : "done";
	case COMMAND_DRY_RUN:
		return "done";
	case COMMAND_REFUSED:
		return "refused";
	case COMMAND_FAILED:
	case COMMAND_UNREACHABLE:
		return "failed";
	case COMMAND_UNKNOWN:
		break;
	}
	return "unknown";
}

static bool is_passing(int rc)
{
	return rc == -ENOTCONN || rc == -EPIPE || rc == -EINPROGRESS || rc == -ENOBUFS;
}

static int hold(struct dispatch *d, const struct action_row *row)
{
	struct held *h;

	if (d->held_count >= HELD_MAX)
		return -ENOBUFS;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->row = *row;
	DL_APPEND(d->held, h);
	d->held_count++;
	return 0;
}

static void tell_journal(struct dispatch *d, const struct action_row *row)
{
	struct told_item item = {.host_id = row->host_id, .run = row->journal};

	memcpy(item.cmd_id, row->cmd_id, sizeof(item.cmd_id));
	told_add(d->told, &item);
}

static void on_finished(void *arg, int rc, const struct action_row *row,
			const struct command_request *body unused_arg, const struct error *err)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (rc == 0 || rc == -ENOENT)
		tell_journal(d, row);
	if (rc == 0) {
		tell_end(d, row);
		return;
	}
	if (rc == -ENOENT) {
		log_debug("command event=result_ignored why=\"no open command of that host\"");
		return;
	}
	if (!is_passing(rc) || hold(d, row) < 0)
		log_warn("command event=result_not_stored error=\"%s\"", err ? err->msg : "");
}

int dispatch_result(struct dispatch *d, int32_t host_id, const void *data, size_t len,
		    struct error *err)
{
	struct command_result r;
	struct action_row row;
	int rc;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	rc = command_result_unpack(data, len, &r, err);
	if (rc < 0)
		return rc;
	row = (struct action_row){
		.host_id = host_id,
		.done_us = clock_wall_us(),
		.rss_before = r.rss_before,
		.rss_after = r.rss_after,
		.swap_before = r.swap_before,
		.swap_after = r.swap_after,
		.held_us = r.held_us,
		.journal = r.journal,
	};
	row.verify_next_us = row.done_us + d->config.stages_s[0] * USEC_PER_SEC;
	memcpy(row.cmd_id, r.id, sizeof(row.cmd_id));
	(void)str_copy(row.state, sizeof(row.state), dispatch_state_of(&r));
	(void)str_copy(row.detail, sizeof(row.detail), r.detail);
	rc = ledger_finish(&d->ledger, &row, on_finished, d);
	if (is_passing(rc))
		rc = hold(d, &row);
	return rc < 0 ? error_sys(err, rc, "cannot store a result") : 0;
}

void dispatch_told(struct dispatch *d, int32_t host_id, const struct wire_event *e)
{
	struct told_item item;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (told_of_event(host_id, e, &item))
		told_add(d->told, &item);
	else
		log_warn("host=%d event=ignored why=\"it tells of an action what makes no sense\"",
			 host_id);
}

static void store_held(struct dispatch *d)
{
	struct held *h, *next;

	DL_FOREACH_SAFE (d->held, h, next) {
		if (ledger_finish(&d->ledger, &h->row, on_finished, d) < 0)
			return;
		DL_DELETE(d->held, h);
		d->held_count--;
		free(h);
	}
}

static void on_ended(void *arg, const struct action_row *row)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (d->leads)
		d->config.ops.ended(d->config.ops.arg, row);
}

/* ---- the timer ---- */

static void expire_next(struct dispatch *d);

static void on_expired(void *arg, int rc, const struct action_row *row,
		       const struct command_request *body unused_arg, const struct error *err)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	d->expiring = false;
	if (rc == 0) {
		tell_end(d, row);
		expire_next(d);
	} else if (rc != -ENOENT) {
		log_warn("command error=\"cannot end expired ones: %s\"", err ? err->msg : "");
	}
}

static void expire_next(struct dispatch *d)
{
	if (ledger_expire(&d->ledger, clock_wall_us(), ANSWER_GRACE_US, on_expired, d) == 0)
		d->expiring = true;
}

static void on_tick(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (!db_ready(d->config.db))
		return;
	store_held(d);
	told_turn(d->told);
	if (!d->expiring && d->leads)
		expire_next(d);
	route_turn(d->route, d->config.remediation, d->leads);
	if (d->leads) {
		verify_turn(d->verify);
		breaker_turn(d->breaker);
	}
}

/* ---- lifetime ---- */

static int make_route(struct dispatch *d)
{
	const struct route_config config = {
		.db = d->config.db,
		.registry = d->config.registry,
		.writer = d->config.writer,
		.send = on_routed,
		.ended = d->config.ops.ended ? on_ended : NULL,
		.arg = d,
	};

	return route_new(&config, &d->route);
}

static void on_verified(void *arg, const struct action_row *row)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (d->config.ops.verified)
		d->config.ops.verified(d->config.ops.arg, row);
}

static int make_verify(struct dispatch *d)
{
	struct verify_config config = {
		.db = d->config.db,
		.ledger = &d->ledger,
		.registry = d->config.registry,
		.verified = on_verified,
		.arg = d,
	};

	memcpy(config.stages_s, d->config.stages_s, sizeof(config.stages_s));
	return verify_new(&config, &d->verify);
}

static void on_tripped(void *arg, const struct action_row *row)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	log_warn("breaker actor=\"%s\" action=%s event=opened why=\"%s\"", row->actor, row->action,
		 row->detail);
	if (d->config.ops.tripped)
		d->config.ops.tripped(d->config.ops.arg, row);
}

static int make_breaker(struct dispatch *d)
{
	const struct breaker_config config = {
		.db = d->config.db,
		.ledger = &d->ledger,
		.results = d->config.limits.breaker,
		.tripped = on_tripped,
		.arg = d,
	};

	return breaker_new(&config, &d->breaker);
}

static void on_broken(void *arg, const char *host, const char *why)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (d->config.ops.journal_broken)
		d->config.ops.journal_broken(d->config.ops.arg, host, why);
}

static int make_told(struct dispatch *d)
{
	const struct told_config config = {.db = d->config.db, .broken = on_broken, .arg = d};

	return told_new(&config, &d->told);
}

int dispatch_new(struct event_base *base, const struct dispatch_config *c, struct dispatch **ret,
		 struct error *err)
{
	const struct timeval every = {.tv_sec = TICK_S};
	struct dispatch *d = calloc(1, sizeof(*d));

	if (!d)
		return error_sys(err, -ENOMEM, "cannot set up dispatch");
	d->magic = DISPATCH_MAGIC;
	d->config = *c;
	if (!d->config.stages_s[0])
		memcpy(d->config.stages_s, effect_stages_s, sizeof(effect_stages_s));
	if (!d->config.approve_within_us)
		d->config.approve_within_us = DISPATCH_APPROVE_US;
	d->leads = true;
	ledger_init(&d->ledger, c->db, &c->limits);
	d->timer = event_new(base, -1, EV_PERSIST, on_tick, d);
	if (!d->timer || event_add(d->timer, &every) < 0 || make_route(d) < 0 ||
	    make_verify(d) < 0 || make_breaker(d) < 0 || make_told(d) < 0) {
		dispatch_free(&d);
		return error_sys(err, -ENOMEM, "cannot set up dispatch");
	}
	*ret = d;
	return 0;
}

void dispatch_free(struct dispatch **slot)
{
	struct dispatch *d = take_ptr(*slot);
	struct asker *a, *next_asker;
	struct held *h, *next;

	if (!d)
		return;
	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (d->timer)
		event_free(d->timer);
	ledger_fini(&d->ledger);
	route_free(&d->route);
	verify_free(&d->verify);
	breaker_free(&d->breaker);
	told_free(&d->told);
	DL_FOREACH_SAFE (d->askers, a, next_asker)
		asker_free(a);
	DL_FOREACH_SAFE (d->held, h, next)
		free(h);
	d->magic = 0;
	free(d);
}

void dispatch_lead(struct dispatch *d, bool leads)
{
	d->leads = leads;
}

void dispatch_set_remediation(struct dispatch *d, bool on)
{
	d->config.remediation = on;
}

bool dispatch_remediation(const struct dispatch *d)
{
	return d->config.remediation;
}
