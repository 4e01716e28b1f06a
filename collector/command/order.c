/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/order.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "collector/command/params.h"
#include "collector/fleet/registry.h"
#include "common/clock.h"
#include "common/str.h"

void order_row(struct action_row *row, uint64_t fence, const struct action_request *r,
	       const struct process *p, int64_t now_us, int64_t expires_us)
{
	*row = (struct action_row){
		.host_id = r->host_id,
		.dry_run = r->dry_run,
		.proc_id = p->proc_id,
		.pid = (int32_t)p->pid,
		.alert_id = r->alert_id,
		.fence = (int64_t)fence,
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

void order_command(struct command *c, const struct action_row *row, const struct host *h,
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

int order_tell_params(struct action_row *row, const struct command *cmd, struct error *err)
{
	auto_free char *text = params_to_json(cmd->action, cmd->params, cmd->reason);

	if (!text || !str_copy(row->params, sizeof(row->params), text))
		return error_set(err, -ENOMEM, "no memory for the parameters");
	return 0;
}

/* In the place of a process: of no pid, no start and no service. */
static const struct process whole_host = {.service = (char *)(uintptr_t) ""};

int order_target(struct registry *registry, const char *action, int32_t host_id, int64_t proc_id,
		 const struct host **ret_host, const struct process **ret_process,
		 struct error *err)
{
	struct host *h = registry_find_host(registry, host_id);
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

int order_warrant(struct action_row *row, struct command *cmd, const struct command_warrant *o,
		  int64_t now_us, struct error *err)
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
