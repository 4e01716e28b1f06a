/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inject.h - calls malloc_trim(0) in a running process, by one of its own threads.
 *
 *	find libc -> wait for a thread at a safe point -> SEIZE, INTERRUPT, look again
 *	  -> write a signal frame on its stack -> SETREGS -> SETSIGMASK -> DETACH
 *	  -> the thread trims, returns into rt_sigreturn, makes its system call anew
 *
 * Registers are set before signals are blocked, and the frame carries the old mask: at whatever
 * point the worker dies, the thread either goes on as if nothing had been or trims and then goes
 *on. Relative timeouts (poll, nanosleep) start over; absolute ones do not move.
 */
#ifndef MEMHERD_AGENT_ACT_INJECT_INJECT_H
#define MEMHERD_AGENT_ACT_INJECT_INJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

struct inject_order {
	pid_t pid;
	uint64_t start_ticks;
	bool look_only; /* stop short of ptrace: tell which thread would do it */
};

struct inject_report {
	pid_t tid;
	int64_t held_us;
	bool returned; /* the thread was seen to have come back from the call */
};

/*
 * -ENOTSUP: this process cannot be trimmed, -EAGAIN: no thread came by a safe point in time,
 * -EPERM, -ESRCH: gone or another process by now, -ETIMEDOUT and -ECHILD of worker_run.
 */
int inject_trim(const struct inject_order *o, struct inject_report *ret,
		struct error *err) must_use;

#endif
