/* SPDX-License-Identifier: Apache-2.0 */
/*
 * order.h - what a command is made of: its row and its body, from who asks for what of whom, and
 * what an operator signed. Pure but for its id's random bytes.
 */
#ifndef MEMHERD_COLLECTOR_COMMAND_ORDER_H
#define MEMHERD_COLLECTOR_COMMAND_ORDER_H

#include "collector/command/dispatch.h"
#include "collector/store/store_command.h"
#include "proto/command.h"

struct host;
struct process;
struct registry;

/* Host and process as they are now; of an action on the whole host a process without pid, start and
 * service. The pointers are good until the loop turns. -ENOENT unknown host, -EOPNOTSUPP no
 * memherd-actd there, -ESRCH unknown process. */
int order_target(struct registry *registry, const char *action, int32_t host_id, int64_t proc_id,
		 const struct host **ret_host, const struct process **ret_process,
		 struct error *err) must_use;
/* With a new id. */
void order_row(struct action_row *row, uint64_t fence, const struct action_request *r,
	       const struct process *p, int64_t now_us, int64_t expires_us);
/* All but parameters, counter and warrant. */
void order_command(struct command *c, const struct action_row *row, const struct host *h,
		   const struct process *p);
/* The command's parameters as the row tells them. -ENOMEM. */
int order_tell_params(struct action_row *row, const struct command *cmd,
		      struct error *err) must_use;
/* What an operator signed (NULL: nothing) is of this action, and lasts: no longer than it does the
 * action. Its id becomes the action's, unless that waits already. Whose it is the host knows.
 * -EINVAL. */
int order_warrant(struct action_row *row, struct command *cmd, const struct command_warrant *o,
		  int64_t now_us, struct error *err) must_use;

#endif
