/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "agent/act/restart.h"
#include "common/clock.h"

static bool ends_until(const struct process *p, int64_t until_us)
{
	for (;;) {
		struct pollfd fd = {.fd = p->pidfd, .events = POLLIN};
		int64_t left_us = until_us - clock_boot_us();

		if (left_us <= 0)
			return !process_alive(p);
		/* A pidfd becomes readable when the process ends. */
		if (poll(&fd, 1, (int)(left_us / 1000) + 1) > 0)
			return true;
	}
}

int restart_bare(struct restart *r, bool dry_run, struct error *err)
{
	const struct process *p = r->process;

	if (p->supervisor.kind == SUPERVISOR_PARENT)
		snprintf(r->by, sizeof(r->by), "its parent, process %d, after a SIGTERM",
			 (int)p->parent);
	else
		snprintf(r->by, sizeof(r->by), "somebody unknown, after a SIGTERM");
	if (dry_run)
		return 0;
	/* Through the pidfd: never to whoever has the pid by now. */
	if (syscall(SYS_pidfd_send_signal, p->pidfd, SIGTERM, NULL, 0) < 0)
		return errno == ESRCH
			       ? error_set(err, -ESRCH, "process %d ended by itself", (int)p->pid)
			       : error_sys(err, -errno, "cannot send SIGTERM to process %d",
					   (int)p->pid);
	r->acted = true;
	if (ends_until(p, r->began_us + RESTART_END_US))
		return 0;
	return error_set(err, -ETIMEDOUT,
			 "process %d got SIGTERM and has not ended after %d s; it is not killed",
			 (int)p->pid, (int)(RESTART_END_US / USEC_PER_SEC));
}
