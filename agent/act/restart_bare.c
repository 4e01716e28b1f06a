/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "agent/act/restart.h"
#include "common/clock.h"

int restart_bare(struct restart *r, bool dry_run, struct error *err)
{
	const struct process *p = r->process;
	int rc;

	if (p->supervisor.kind == SUPERVISOR_PARENT)
		snprintf(r->by, sizeof(r->by), "its parent, process %d, after a SIGTERM",
			 (int)p->parent);
	else
		snprintf(r->by, sizeof(r->by), "somebody unknown, after a SIGTERM");
	if (dry_run)
		return 0;
	rc = process_signal(p, SIGTERM, err);
	if (rc < 0)
		return rc;
	r->acted = true;
	if (process_ends_until(p, r->began_us + RESTART_END_US))
		return 0;
	return error_set(err, -ETIMEDOUT,
			 "process %d got SIGTERM and has not ended after %d s; it is not killed",
			 (int)p->pid, (int)(RESTART_END_US / USEC_PER_SEC));
}
