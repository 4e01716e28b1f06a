/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "agent/act/manager.h"
#include "agent/act/restart.h"
#include "common/clock.h"

#define LOOK_EVERY_MS 50

/* The cgroup says which unit, and systemd must say the same. */
static int check(struct restart *r, struct manager *m, struct manager_unit *u, struct error *err)
{
	const struct process *p = r->process;
	int rc = manager_unit_of(m, p->pid, u, err);

	if (rc < 0)
		return rc;
	if (strcmp(u->id, p->supervisor.name) != 0)
		return error_set(err, -EINVAL,
				 "process %d is of unit '%s' for systemd, not of '%s'", (int)p->pid,
				 u->id, p->supervisor.name);
	snprintf(r->by, sizeof(r->by), "systemd, unit %s", u->id);
	return 0;
}

static int wait_for_job(struct restart *r, struct manager *m, const char *job, struct error *err)
{
	while (manager_job_runs(m, job)) {
		if (clock_boot_us() - r->began_us >= RESTART_ASKED_US)
			return error_set(err, -ETIMEDOUT,
					 "systemd is still restarting %s after %d s",
					 r->process->supervisor.name,
					 (int)(RESTART_ASKED_US / USEC_PER_SEC));
		poll(NULL, 0, LOOK_EVERY_MS);
	}
	return 0;
}

/* That the job ended says little: what is there now counts. */
static int judge(struct restart *r, struct manager *m, struct manager_unit *u, struct error *err)
{
	int rc = manager_look(m, u, err);

	if (rc < 0)
		return rc;
	snprintf(r->said, sizeof(r->said), "the unit is %s", u->state);
	if (strcmp(u->state, "active") == 0 || strcmp(u->state, "reloading") == 0)
		return 0;
	return error_set(err, -EIO, "systemd ended %s, and it did not start again: it is %s (%s)",
			 u->id, u->state, u->result);
}

int restart_unit(struct restart *r, bool dry_run, struct error *err)
{
	struct manager m;
	struct manager_unit u;
	char job[MANAGER_PATH_SIZE];
	int rc = manager_open(&m, err);

	if (rc < 0)
		return rc;
	rc = check(r, &m, &u, err);
	if (rc == 0 && !dry_run) {
		rc = manager_restart(&m, &u, job, err);
		/* No answer in time does not mean that nothing is done. */
		r->acted = rc == 0 || rc == -ETIMEDOUT;
		if (rc == 0)
			rc = wait_for_job(r, &m, job, err);
		if (rc == 0)
			rc = judge(r, &m, &u, err);
	}
	manager_close(&m);
	return rc;
}
