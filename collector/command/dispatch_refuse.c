/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused, by whom and of what. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "collector/command/dispatch_inner.h"
#include "collector/fleet/registry.h"
#include "common/log.h"
#include "common/str.h"

/* As audit rows of commands have it. */
static void name_target(const struct dispatch *d, const struct action_row *row,
			char out[AUDIT_TARGET_SIZE])
{
	struct host *h = registry_find_host(d->config.registry, row->host_id);
	const struct process *p = h ? registry_find_process(h, row->proc_id) : NULL;
	int64_t pid = p ? (int64_t)p->pid : row->pid;
	char name[ACTION_NAME_SIZE];

	if (!h || !h->name || !str_copy(name, sizeof(name), h->name))
		snprintf(name, sizeof(name), "host %d", row->host_id);
	if (pid)
		snprintf(out, AUDIT_TARGET_SIZE, "%s:%" PRId64, name, pid);
	else if (row->proc_id)
		snprintf(out, AUDIT_TARGET_SIZE, "%s, process %" PRId64, name, row->proc_id);
	else
		snprintf(out, AUDIT_TARGET_SIZE, "%s", name);
}

/* Of these the text says how long it still takes. */
static bool says_time(int rc)
{
	return rc == -EAGAIN || rc == -EBUSY || rc == -EDQUOT;
}

void dispatch_refuse(struct dispatch *d, const char *what, const char *by,
		     const struct action_row *row, int rc, const char *why)
{
	char target[AUDIT_TARGET_SIZE];

	if (!refusal_is(rc))
		return;
	name_target(d, row, target);
	dispatch_refused(d, &(struct refusal){.actor = by,
					      .what = what,
					      .action = row->action,
					      .target = target,
					      .why = why,
					      .code = says_time(rc) ? rc : 0});
}

void dispatch_refused(struct dispatch *d, const struct refusal *r)
{
	MAGIC_CHECK(d, DISPATCH_MAGIC);
	/* As the audit log: who asks a thousand times has one line. */
	if (!refusals_note(d->refusals, r))
		return;
	log_info("command event=refused what=%s actor=\"%s\" action=\"%.32s\" target=\"%.200s\" "
		 "why=\"%s\"",
		 r->what, r->actor, r->action, r->target, r->why);
}
