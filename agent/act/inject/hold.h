/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold.h - several threads of a process stopped at once, for as long as it takes to copy or to read
 * its memory. In the worker; when it dies the kernel lets all of them go on.
 *
 * A call that the stop cuts short is made anew as each thread is let go or the worker dies, so that
 * no program sees EINTR for it.
 */
#ifndef MEMHERD_AGENT_ACT_INJECT_HOLD_H
#define MEMHERD_AGENT_ACT_INJECT_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/error.h"

#define HOLD_MAX 4096u

struct hold {
	pid_t pid;
	pid_t *tids; /* that stand still */
	size_t n;
	size_t late; /* behind them: that were asked to stop and did not yet */
};

int hold_init(struct hold *h, pid_t pid) must_use;
/* Lets all go, the late ones as soon as they stop. -EAGAIN when there were such, -ETIMEDOUT when
 * one still did not stop: then only the worker's end lets it go. */
int hold_fini(struct hold *h, struct error *err) must_use;
bool hold_has(const struct hold *h, pid_t tid);
/*
 * Stops the threads that run at the moment (all: every one), and those that appear or wake
 * meanwhile. Threads in uninterruptible sleep touch no memory of theirs: they are left out unless
 * all is asked for. -EAGAIN when one does not stop in time, -EPERM, -E2BIG.
 */
int hold_threads(struct hold *h, bool all, pid_t except, struct error *err) must_use;
/* Lets one go. */
void hold_release(struct hold *h, pid_t tid);

/* The thread ids of a process, at most max; the count, or -ESRCH. */
int hold_list(pid_t pid, pid_t *ret, size_t max) must_use;
/* What a process is called in its own pid namespace: the last number of NSpid. */
pid_t hold_pid_there(pid_t pid);
/* The state letter of a thread, 0 when it is gone. */
char hold_state(pid_t pid, pid_t tid);

#endif
