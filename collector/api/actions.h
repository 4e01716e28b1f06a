/* SPDX-License-Identifier: Apache-2.0 */
/*
 * actions.h - what the handlers of actions share: an action as JSON, who may, why not.
 */
#ifndef MEMHERD_COLLECTOR_API_ACTIONS_H
#define MEMHERD_COLLECTOR_API_ACTIONS_H

#include "collector/api/call.h"
#include "collector/api/route.h"
#include "collector/store/store_command.h"

void action_write(struct json_writer *w, const struct action_row *a);
/* The member 'warrant', into space; NULL without one. False: the call has been ended. */
bool action_warrant(struct call *c, struct command_warrant *space,
		    const struct command_warrant **ret) must_use;
/* Ends the call with what dispatch said. */
void action_fail(struct call *c, int rc, const struct error *err);
/* What a handler asks dispatch for: 'issue', 'approve', 'cancel'; NULL: nothing. */
const char *action_acts(route_handler *handler);
/* Has the audit log tell that such a call is refused, before dispatch could: each 4xx to somebody
 * who is known, wherever it comes from (call.c). */
void action_tell_refusal(struct call *c, const char *why);
/* Has the caller the scope that this type of action takes? False: the call has been ended. */
bool action_scope_held(struct call *c, const char *type) must_use;

#endif
