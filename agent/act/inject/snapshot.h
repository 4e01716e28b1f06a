/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.h - a copy-on-write copy of a running process's memory, as a child of it that never
 *runs.
 *
 *	stop the threads that run -> stop one at rest (or take one of those) -> write a signal frame
 *	  -> it makes clone(CLONE_FILES) at 'syscall; ret' -> the child is held before its first
 *	  instruction -> let all go -> ... read the child ... -> kill it -> reap it in the same way
 *
 * The child has a stack of its own: the address of _exit() and nothing else. Whenever the worker
 * dies, the thread comes back by itself (frame.h), and a child that nobody holds any more ends at
 * once, having done nothing. Its files are the parent's own table, so no connection, pipe or lock
 * lives a moment longer for it; it has no exit signal, so neither SIGCHLD nor wait() tell of it.
 */
#ifndef MEMHERD_AGENT_ACT_INJECT_SNAPSHOT_H
#define MEMHERD_AGENT_ACT_INJECT_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/act/inject/frame.h"
#include "agent/act/inject/libc.h"
#include "agent/python/maps.h"
#include "common/error.h"

/* Where a worker notes, in memory that outlives it, which thread it sends into the clone: before it
 * does so. tid 0 = none. */
struct snapshot_trace {
	pid_t tid;
	struct frame frame;
};

struct snapshot_order {
	pid_t pid;
	const struct libc *libc;
	const struct maps *maps;
	/* Asked once threads are held and their ids can no longer be given to others: 0 to go on,
	 * -ESRCH when it is another process, -EBUSY when a copy would be of no use just now. */
	int (*check)(const void *arg, struct error *err);
	const void *arg;
	bool stop_all; /* also the threads that sleep */
	struct snapshot_trace *trace;
};

struct snapshot {
	pid_t child;
	pid_t child_there; /* its id in the target's pid namespace */
	pid_t tid;         /* the thread that made it */
	int64_t held_us;   /* how long threads of the target were held */
	unsigned held;     /* how many */
};

/* -EAGAIN: no thread could be borrowed just now; -ENOTSUP: not this process; the kernel's error
 * when it refuses the clone. */
int snapshot_take(const struct snapshot_order *o, struct snapshot *ret, struct error *err) must_use;
/* Ends the child and has the target reap it; how long that held a thread, or -EAGAIN when it did
 * not come to that in time: a zombie without memory is left. */
int64_t snapshot_end(const struct snapshot_order *o, struct snapshot *s) must_use;

/*
 * What a worker that was killed has left: waits until the thread of the trace is back from the
 * clone that it may still make, and looks for children of the target that ended, have no exit
 * signal and began at since_ticks (of the system clock, after boot) or later. The count that was
 * reaped.
 */
int snapshot_sweep(const struct snapshot_order *o, uint64_t since_ticks) must_use;

#endif
