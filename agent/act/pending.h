/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending.h - the lock of an interpreter's pending calls, read from outside: a thread that has it
 * and were sent into Py_AddPendingCall would wait for itself. Which function a thread is in does
 * not tell: what takes the lock is static, and inlined as the compiler likes.
 *
 * struct _pending_calls of the main thread, in bytes from its lock: from 3.13 on a PyMutex, then
 * int npending +4, max +8, maxloop +12; before a pointer to a sem_t, then int calls_to_do +8,
 * calls +16, first +528, last +532. Sources: pycore_ceval_state.h, pycore_interp.h, and
 * tests/integration/test_pending.py, which finds it by a call that it queues.
 */
#ifndef MEMHERD_AGENT_ACT_PENDING_H
#define MEMHERD_AGENT_ACT_PENDING_H

#include "agent/python/runtime.h"

struct pending {
	uint64_t at; /* of its lock; 0 = not known */
	bool mutex;
};

/* ret->at is 0 where what is there does not look like it. */
void pending_find(const struct runtime *rt, uint64_t interpreter, struct pending *ret);
/* 1 = somebody has it, 0 = nobody, or -errno. */
int pending_held(pid_t pid, const struct pending *p) must_use;

#endif
