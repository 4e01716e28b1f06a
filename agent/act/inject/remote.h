/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote.h - a thread of the target makes a system call, or enters functions one after the other,
 * and comes back to where it was. In the worker. The thread is held only while its stack and
 * registers are written: whoever dies when, it goes on.
 */
#ifndef MEMHERD_AGENT_ACT_INJECT_REMOTE_H
#define MEMHERD_AGENT_ACT_INJECT_REMOTE_H

#include "agent/act/inject/thread.h"

#define REMOTE_STEPS_MAX 3

struct remote {
	pid_t pid;
	const struct libc *libc; /* of libc_find_calls() */
	const struct maps *maps;
	/* Asked of each thread once it stands still: whether it may be used, 0 or -errno. */
	int (*check)(void *arg, const struct tracee_state *s, struct error *err);
	void *arg;
	int64_t held_us; /* summed up */
};

/* Either a system call, or functions; each of them but the first gets one argument. */
struct remote_call {
	bool is_syscall;
	uint64_t nr;
	uint64_t args[6]; /* of the system call, or of the first function */
	struct {
		uint64_t fn;
		uint64_t arg;
	} steps[REMOTE_STEPS_MAX];
	size_t n_steps;
	bool interrupt; /* the call that it sleeps in returns EINTR to it */
};

/*
 * A thread that sleeps where thread_look() says that it may be borrowed. -EAGAIN: not now;
 * -ENOTSUP, -ESRCH, or what check said.
 */
int remote_by_sleeper(struct remote *r, pid_t tid, const struct remote_call *c,
		      struct error *err) must_use;
/* The first of the threads for which that works; 0 with its id. */
int remote_by_any_sleeper(struct remote *r, pid_t except, const struct remote_call *c,
			  pid_t *ret_tid, struct error *err) must_use;
/* A thread that runs, stopped between two instructions inside of [low, high) (0, 0: anywhere, for
 * system calls). -EAGAIN when it stood elsewhere. */
int remote_by_runner(struct remote *r, pid_t tid, uint64_t low, uint64_t high,
		     const struct remote_call *c, struct error *err) must_use;
/* A sleeper's call returns EINTR, and nothing else is done. */
int remote_wake(struct remote *r, pid_t tid, struct error *err) must_use;

#endif
