/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tracee.h - ptrace on one thread: stop it, read and set its state, let it go. x86-64 only.
 * Called in the worker: every call on a tracee must come from the thread that seized it, and when
 * that one dies the kernel lets every tracee go on.
 */
#ifndef MEMHERD_AGENT_ACT_INJECT_TRACEE_H
#define MEMHERD_AGENT_ACT_INJECT_TRACEE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "agent/act/inject/frame.h"
#include "agent/python/maps.h"
#include "common/error.h"

#define TRACEE_STOP_WAIT_US 50000
#define TRACEE_DROP_WAIT_US 1000000

/* What of a thread is put aside and comes back with the frame. */
struct tracee_state {
	struct user_regs_struct regs;
	uint64_t mask; /* of blocked signals */
	uint8_t xstate[FRAME_XSTATE_MAX];
	size_t xstate_len;
};

/* Seizes and asks it to stop; -EAGAIN when it ended, else the kernel's refusal in words. options:
 * of PTRACE_SETOPTIONS. */
int tracee_seize(pid_t tid, unsigned long options, struct error *err) must_use;
/*
 * Waits for that stop. A signal that comes first is passed on. 0; 1 when it stands in a group stop,
 * where it also stands still; -ETIMEDOUT: not yet, and it will stand still at any moment now, so
 * tracee_drop() is due; -ESRCH and others: it ended.
 */
int tracee_wait(pid_t tid, int64_t limit_us) must_use;
/* One look of it: -EINPROGRESS when it does not stand yet. */
int tracee_poll(pid_t tid) must_use;
/*
 * Lets one go that did not stop in time, on a host where it gets no processor, say. -EAGAIN when
 * that is done. -ETIMEDOUT after TRACEE_DROP_WAIT_US: then only the worker's end lets it go.
 */
int tracee_drop(pid_t pid, pid_t tid, struct error *err) must_use;
void tracee_let_go(pid_t tid);
/* Lets one go to which nothing was done: tracee_hide_stop() first. */
void tracee_leave(pid_t pid, pid_t tid);

/* The thread stands still for the next ones. */
int tracee_get(pid_t tid, struct tracee_state *ret) must_use;
/* Writes a built frame on its stack. */
int tracee_write_frame(pid_t pid, const struct frame *f) must_use;
/*
 * Sets the registers with which it goes on, then blocks every signal but the faults': in this
 * order, so that dying in between leaves no signal blocked. The frame carries the old mask.
 */
int tracee_enter(pid_t tid, const struct tracee_state *old, struct user_regs_struct *regs) must_use;
/* Does it stand in a system call, on the two bytes behind a 'syscall', that will be made anew? */
bool tracee_in_call(pid_t pid, const struct tracee_state *s);
/* Does it stand between two instructions of its own, outside of a restartable sequence? */
bool tracee_in_user(pid_t pid, pid_t tid, const struct tracee_state *s);
/*
 * A call that the stop cut short and that would tell the program so (EINTR) is set to be made anew.
 * Not where a signal waits: then the program must know.
 */
void tracee_hide_stop(pid_t pid, pid_t tid);
/* Does a signal wait that it will take? Then its call is over, and is not to be made anew. True
 * when that cannot be read. */
bool tracee_has_signal(pid_t pid, pid_t tid) must_use;
/* The mask of the signals that it blocks, all ones when that cannot be read. */
uint64_t tracee_blocked(pid_t pid, pid_t tid) must_use;

/* Is [low, sp) in the one writable mapping that sp is in? Below it lies a guard page. */
bool tracee_has_room(const struct maps *m, uint64_t low, uint64_t sp);
/* A file of /proc/PID/task/TID as text; the length or -errno. */
int tracee_file(pid_t pid, pid_t tid, const char *name, char *out, size_t size) must_use;

#endif
