/* SPDX-License-Identifier: Apache-2.0 */
/* A second person's word on what waits, and anybody's who gives it up. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "collector/command/dispatch_inner.h"
#include "collector/command/order.h"
#include "collector/command/params.h"
#include "collector/fleet/registry.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define CANCEL_AGE_US   USEC_PER_SEC /* what is younger is on its way */
#define WAITS_NO_LONGER "the action is on its way, or over"

static void log_approval(const struct action_row *row)
{
	char id[UUID_TEXT_SIZE];

	uuid_text(id, row->cmd_id);
	log_info("command=%s host=%d event=approved by=\"%s\" actor=\"%s\" counter=%" PRId64, id,
		 row->host_id, row->approved_by, row->actor, row->counter);
}

static void on_approved(void *arg, int rc, const struct action_row *row,
			const struct command_request *body, const struct error *err)
{
	struct asker *a = asker_of(arg);
	struct action_row now;

	now = *row;
	if (rc == 0) {
		log_approval(row);
		dispatch_send_stored(a->dispatch, &now, body);
	} else {
		dispatch_refuse(a->dispatch, "approve", row->approved_by, row, rc,
				rc == -ENOENT ? WAITS_NO_LONGER
				: err         ? err->msg
					      : "");
	}
	if (rc < 0 && !refusal_is(rc))
		log_warn("command event=not_approved error=\"%s\"", err ? err->msg : strerror(-rc));
	asker_tell(a, rc, &now, err);
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
	int rc = order_target(d->config.registry, row->action, row->host_id, row->proc_id, &h, &p,
			      err);

	if (rc < 0)
		return rc;
	told = json_loads(row->params, 0, NULL);
	rc = params_from_json((enum command_action)command_action_find(row->action), told, params,
			      &text, err);
	if (rc == 0) {
		row->approved_us = clock_wall_us();
		row->expires_us = row->approved_us + DISPATCH_EXPIRES_US;
		order_command(cmd, row, h, p);
		cmd->issued_us = row->approved_us;
		memcpy(cmd->params, params, sizeof(cmd->params));
		if (text)
			(void)str_copy(cmd->reason, sizeof(cmd->reason), text);
		*ret_service = p->service;
	}
	json_decref(told);
	return rc < 0 ? rc : order_warrant(row, cmd, warrant, row->approved_us, err);
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
	rc = d->config.remediation ? check_approver(&row, by, err)
				   : error_set(err, -EPERM, DISPATCH_SWITCHED_OFF);
	if (!rc)
		rc = prepare_approval(d, &row, &cmd, warrant, &service, err);
	if (rc < 0) {
		dispatch_refuse(d, "approve", by, waiting, rc, err->msg);
		return rc;
	}
	(void)str_copy(row.approved_by, sizeof(row.approved_by), by);
	a = asker_new(d, &d->askers, done, arg);
	rc = a ? ledger_approve(&d->ledger, &row, &cmd, service, d->config.key, on_approved, a)
	       : -ENOMEM;
	if (rc < 0 && a)
		asker_free(&a);
	return rc < 0 ? error_sys(err, rc, "cannot store the approval") : 0;
}

static void on_cancelled(void *arg, int rc, const struct action_row *row,
			 const struct command_request *body unused_arg, const struct error *err)
{
	struct asker *a = asker_of(arg);

	if (rc == 0)
		dispatch_tell_end(a->dispatch, row);
	else if (rc == -ENOENT)
		dispatch_refuse(a->dispatch, "cancel", a->by, row, rc, WAITS_NO_LONGER);
	else
		log_warn("command event=not_cancelled error=\"%s\"",
			 err ? err->msg : strerror(-rc));
	asker_tell(a, rc, row, err);
}

int dispatch_cancel(struct dispatch *d, const struct action_row *row, const char *by,
		    dispatch_done *done, void *arg, struct error *err)
{
	struct asker *a = asker_new(d, &d->askers, done, arg);
	int rc = -ENOMEM;

	if (a) {
		(void)str_copy(a->by, sizeof(a->by), by);
		rc = ledger_cancel(&d->ledger, row, by, clock_wall_us(), CANCEL_AGE_US,
				   on_cancelled, a);
	}
	if (rc < 0 && a)
		asker_free(&a);
	return rc < 0 ? error_sys(err, rc, "cannot store that it is cancelled") : 0;
}
