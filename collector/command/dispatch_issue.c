/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked for: checked, stored, sent or left to wait. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "collector/command/dispatch_inner.h"
#include "collector/command/order.h"
#include "collector/command/params.h"
#include "collector/fleet/registry.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

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
		rc = order_target(d->config.registry, r->action, r->host_id, r->proc_id, &h, &p,
				  err);
	if (rc < 0)
		return rc;
	order_row(row, d->config.fence, r, p, now_us, expires_us);
	order_command(cmd, row, h, p);
	*ret_service = p->service;
	memcpy(cmd->params, r->params, sizeof(cmd->params));
	if (r->text)
		(void)str_copy(cmd->reason, sizeof(cmd->reason), r->text);
	rc = order_warrant(row, cmd, r->warrant, now_us, err);
	return rc < 0 ? rc : order_tell_params(row, cmd, err);
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

static void tell_asked(struct dispatch *d, int rc, const struct action_row *row,
		       const struct error *err)
{
	if (d->config.ops.asked && str_starts(row->actor, "rule:"))
		d->config.ops.asked(d->config.ops.arg, rc, row, err);
}

static void on_issued(void *arg, int rc, const struct action_row *row,
		      const struct command_request *body, const struct error *err)
{
	struct error taken;
	struct asker *a = asker_of(arg);
	struct action_row now;

	now = *row;
	if (rc == -EEXIST) {
		error_set(&taken, rc, "this idempotency key was used for another request");
		err = &taken;
	} else if (rc == -ESTALE) {
		error_set(&taken, rc, "this collector leads no longer");
		err = &taken;
	} else if (rc < 0 && !refusal_is(rc)) {
		log_warn("command event=not_issued error=\"%s\"", err ? err->msg : strerror(-rc));
	}
	if (rc < 0)
		dispatch_refuse(a->dispatch, "issue", row->actor, row, rc, err ? err->msg : "");
	if (rc == 0)
		log_issue(row);
	if (rc == 0 && strcmp(row->state, ACTION_WAITING) != 0)
		dispatch_send_stored(a->dispatch, &now, body);
	else if (rc == 0 && a->dispatch->config.ops.waits)
		a->dispatch->config.ops.waits(a->dispatch->config.ops.arg, &now);
	tell_asked(a->dispatch, rc, &now, err);
	asker_tell(a, rc, &now, err);
}

static int ask(struct dispatch *d, const struct action_request *r, const struct action_row *row,
	       const struct command *cmd, const char *service, dispatch_done *done, void *arg)
{
	struct asker *a = asker_new(d, &d->askers, done, arg);
	int rc;

	if (!a)
		return -ENOMEM;
	if (needs_approval(d, r))
		rc = ledger_wait(&d->ledger, row, cmd, service, r->idempotency_key, on_issued, a);
	else
		rc = ledger_issue(&d->ledger, row, cmd, service, r->idempotency_key, d->config.key,
				  on_issued, a);
	if (rc < 0)
		asker_free(&a);
	return rc;
}

/* What there is of a row when it was refused before there was one. */
static void refuse(struct dispatch *d, const struct action_request *r, int rc,
		   const struct error *err)
{
	struct action_row row = {.host_id = r->host_id, .proc_id = r->proc_id};

	(void)str_copy(row.action, sizeof(row.action), r->action ? r->action : "");
	dispatch_refuse(d, "issue", r->actor, &row, rc, err->msg);
}

int dispatch_issue(struct dispatch *d, const struct action_request *r, dispatch_done *done,
		   void *arg, struct error *err)
{
	struct action_row row = {.host_id = 0};
	struct command cmd = {.pid = 0};
	const char *service = "";
	int rc;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	rc = d->config.remediation ? check_fields(r, err)
				   : error_set(err, -EPERM, DISPATCH_SWITCHED_OFF);
	if (!rc)
		rc = prepare(d, r, clock_wall_us(), &row, &cmd, &service, err);
	if (rc < 0) {
		refuse(d, r, rc, err);
		return rc;
	}
	rc = ask(d, r, &row, &cmd, service, done, arg);
	return rc < 0 ? error_sys(err, rc, "cannot store the action") : 0;
}
