/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread.h - one thread, borrowed by ptrace for a fraction of a millisecond. x86-64 only.
 * Called in the worker: every call on a tracee must come from the thread that seized it.
 */
#ifndef MEMHERD_AGENT_ACT_INJECT_THREAD_H
#define MEMHERD_AGENT_ACT_INJECT_THREAD_H

#include "agent/act/inject/frame.h"
#include "agent/act/inject/libc.h"
#include "agent/act/inject/safepoint.h"
#include "agent/act/inject/tracee.h"
#include "agent/python/maps.h"

/* The sleeping thread's call when it may be borrowed, judged from /proc without touching it;
 * -EAGAIN when not. */
int thread_look(pid_t pid, pid_t tid, const struct libc *l, const struct maps *m,
		struct blocked *ret) must_use;
/* What thread_look saw, asked again of the thread that now stands still. */
bool thread_at_safe_point(pid_t pid, const struct tracee_state *h, const struct libc *l,
			  const struct blocked *seen);
/* Has the stack room for a frame, and is no signal's handler on it? */
bool thread_has_stack(pid_t pid, const struct libc *l, const struct maps *m, uint64_t sp);
/*
 * Borrows it: 0 when it was let go into malloc_trim (frame then tells where it will return),
 * -EAGAIN when it was no longer in the call that thread_look saw and was let go as it was.
 * still_ours is asked once the thread is held and its id can no longer be given to another.
 */
int thread_send(pid_t pid, pid_t tid, const struct libc *l, const struct maps *m,
		const struct blocked *seen, bool (*still_ours)(const void *arg), const void *arg,
		struct frame *ret, int64_t *ret_held_us, struct error *err) must_use;
/* True when the thread has left the frame behind, or is gone. */
bool thread_is_back(pid_t pid, pid_t tid, const struct frame *f);

#endif
