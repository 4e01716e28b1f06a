/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safepoint.h - where a thread may be borrowed for a call into malloc: asleep in a call that waits
 * for something other than a lock of the C library. Pure.
 *
 * Plain FUTEX_WAIT is how glibc waits for its own locks, the arenas' among them: fork() owns some
 * arenas while it sleeps on the next, and a trim in that very thread would wait for itself.
 * Condition variables, semaphores and joins wait with FUTEX_WAIT_BITSET.
 */
#ifndef MEMHERD_AGENT_ACT_INJECT_SAFEPOINT_H
#define MEMHERD_AGENT_ACT_INJECT_SAFEPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"

/* A thread that sleeps in a system call, as /proc/PID/task/TID/syscall tells. */
struct blocked {
	int64_t nr;
	uint64_t args[6];
	uint64_t sp;
	uint64_t pc;
};

/* -EAGAIN when the thread runs or waits outside a call, -EBADMSG for another text. */
int blocked_parse(const char *text, struct blocked *ret) must_use;
/* May a thread in this call be borrowed? arg1 is the call's second argument. */
bool safepoint_call(int64_t nr, uint64_t arg1);
/* Such a call goes on by itself after a stop, whoever dies meanwhile; the others would tell the
 * program (EINTR) if we died in the moment between its stop and our setting it right. */
bool safepoint_restarts(int64_t nr);
/* The values that the kernel leaves in rax when such a call was interrupted and will be restarted
 * or would have shown EINTR. */
bool safepoint_interrupted(int64_t rax);
/* The state letter of /proc/PID/stat, 0 when the text is not that: the name in parentheses may
 * hold any bytes, so it is found from the right. */
char stat_state(const char *stat);

#endif
