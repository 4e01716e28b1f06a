/* SPDX-License-Identifier: Apache-2.0 */
/* A second person's word on an action that waits: approve, cancel. */
#include <errno.h>
#include <string.h>

#include "collector/api/actions.h"
#include "collector/api/api.h"
#include "collector/api/cells.h"
#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/command/dispatch.h"
#include "common/str.h"

static const struct row_kind action_kind = {.name = "action"};

static void on_told(void *arg, int rc, const struct action_row *row, const struct error *err)
{
	struct call *c = call_of(arg);

	if (rc == 0) {
		action_write(&c->json, row);
		call_reply(c, 200);
	} else if (rc == -ENOENT) {
		call_fail(c, 409, "the action '%.64s' is on its way, or over", c->params[0]);
	} else if (rc == -EBUSY || rc == -EAGAIN || rc == -EDQUOT || rc == -EPERM) {
		action_fail(c, rc, err);
	} else {
		call_fail_db(c, rc);
	}
}

/* False when the call has been ended: no such action, or not this caller's to judge. */
static bool take_row(struct call *c, int rc, const struct db_result *r, struct action_row *ret)
{
	if (!rows_found(c, rc, r))
		return false;
	store_command_row(r, 0, ret);
	return action_scope_held(c, ret->action);
}

static void on_row_to_approve(void *arg, int rc, const struct db_result *r,
			      const struct error *unused_err unused_arg)
{
	struct call *c = call_of(arg);
	struct error err = {.msg = ""};
	const struct command_warrant *warrant;
	struct command_warrant space;
	struct action_row row;

	if (!take_row(c, rc, r, &row) || !action_warrant(c, &space, &warrant))
		return;
	c->asked = true;
	rc = dispatch_approve(c->api->ctx.dispatch, &row, c->who.name, warrant, on_told, c, &err);
	if (rc < 0)
		action_fail(c, rc, &err);
}

static void on_row_to_cancel(void *arg, int rc, const struct db_result *r,
			     const struct error *unused_err unused_arg)
{
	struct call *c = call_of(arg);
	struct error err = {.msg = ""};
	struct action_row row;

	if (!take_row(c, rc, r, &row))
		return;
	c->asked = true;
	rc = dispatch_cancel(c->api->ctx.dispatch, &row, c->who.name, on_told, c, &err);
	if (rc < 0)
		action_fail(c, rc, &err);
}

static void with_row(struct call *c, db_done *go_on)
{
	struct db *db;
	uint8_t id[16];

	if (cells_refuse(c))
		return;
	if (uuid_parse(id, c->params[0]) < 0) {
		call_fail(c, 404, "there is no action '%.64s'", c->params[0]);
		return;
	}
	db = c->api->ctx.dispatch ? rows_db(c, &action_kind) : NULL;
	if (db)
		rows_asked(c, store_command_get(db, id, go_on, c));
	else if (!c->api->ctx.dispatch)
		call_fail_db(c, -ENOTCONN);
}

void action_approve(struct call *c)
{
	static const char *const names[] = {"warrant", NULL};

	if (!c->body || call_object(c, names))
		with_row(c, on_row_to_approve);
}

void action_cancel(struct call *c)
{
	with_row(c, on_row_to_cancel);
}
