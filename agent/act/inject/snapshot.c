/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/inject/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "agent/act/inject/hold.h"
#include "agent/act/inject/thread.h"
#include "agent/act/inject/tracee.h"
#include "agent/act/inject/worker.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#define CLONE_WAIT_US (2 * USEC_PER_SEC)
#define REAP_WAIT_US  USEC_PER_SEC
#define STEP_NS       20000
#define REAP_STEP_NS  1000000
#define CALL_STOP     (SIGTRAP | 0x80) /* PTRACE_O_TRACESYSGOOD */
/* From the frame's address, which is 8 above a multiple of 16, down to the child's stack pointer:
 * _exit() is then entered as after a 'call'. */
#define CHILD_STACK    72u
#define SWEEP_MAX      64
#define ERESTARTNOINTR 513 /* include/linux/errno.h */

/* A thread of the target that will make a call for us. */
struct borrowed {
	pid_t tid;
	bool sleeps; /* in the call that seen says, else it runs */
	struct blocked seen;
};

static void pause_ns(long ns)
{
	const struct timespec ts = {.tv_nsec = ns};

	nanosleep(&ts, NULL);
}

/* ret->tid stays 0 when there is none. */
static void find_sleeper(const struct snapshot_order *o, struct borrowed *ret)
{
	static pid_t tids[HOLD_MAX];
	int n = hold_list(o->pid, tids, HOLD_MAX);
	struct borrowed found = {0};

	for (int i = 0; i < n && (!found.tid || !safepoint_restarts(found.seen.nr)); i++) {
		struct borrowed b = {.tid = tids[i], .sleeps = true};

		if (thread_look(o->pid, b.tid, o->libc, o->maps, &b.seen) == 0 &&
		    (!found.tid || safepoint_restarts(b.seen.nr)))
			found = b;
	}
	*ret = found;
}

/* The state of a thread that stands still, when a call may be made from there. */
static int state_of(const struct snapshot_order *o, const struct borrowed *b,
		    struct tracee_state *s)
{
	if (tracee_get(b->tid, s) < 0)
		return -EAGAIN;
	if (b->sleeps)
		return thread_at_safe_point(o->pid, s, o->libc, &b->seen) ? 0 : -EAGAIN;
	return tracee_in_user(o->pid, b->tid, s) &&
			       thread_has_stack(o->pid, o->libc, o->maps, s->regs.rsp)
		       ? 0
		       : -EAGAIN;
}

/* Sets a thread that stands still to make a call and to come back to where it is. */
static int redirect(const struct snapshot_order *o, const struct borrowed *b, uint64_t nr,
		    uint64_t args[6], struct frame *f, struct error *err)
{
	struct tracee_state state;
	struct user_regs_struct regs;
	struct iovec local = {.iov_base = (void *)(uintptr_t)&o->libc->exit,
			      .iov_len = sizeof(o->libc->exit)};
	struct iovec remote = {.iov_len = sizeof(o->libc->exit)};
	int rc = state_of(o, b, &state);

	if (rc == 0)
		rc = frame_build(&state.regs, state.mask, state.xstate, state.xstate_len,
				 o->libc->restorer, f, err);
	if (rc < 0)
		return rc;
	if (!tracee_has_room(o->maps, f->address - FRAME_CALLEE_ROOM, state.regs.rsp))
		return error_set(err, -ENOTSUP, "thread %d has no room on its stack", (int)b->tid);
	if (nr == SYS_clone) {
		args[1] = f->address - CHILD_STACK;
		remote.iov_base = (void *)(uintptr_t)args[1];
		if (process_vm_writev(o->pid, &local, 1, &remote, 1, 0) != (ssize_t)local.iov_len)
			return error_set(err, -EFAULT, "cannot write the stack of thread %d",
					 (int)b->tid);
	}
	if (tracee_write_frame(o->pid, f) < 0)
		return error_set(err, -EFAULT, "cannot write the stack of thread %d", (int)b->tid);
	if (nr == SYS_clone) {
		o->trace->frame = *f;
		o->trace->tid = b->tid;
	}
	regs = state.regs;
	frame_enter_call(&regs, f, o->libc->call, nr, args);
	if (tracee_enter(b->tid, &state, &regs) < 0)
		return error_set(err, -EIO, "cannot set the registers of thread %d", (int)b->tid);
	return 0;
}

/* Seizes a sleeper and waits until it stands; it is let go when that fails. */
static int stop_sleeper(const struct snapshot_order *o, const struct borrowed *b,
			unsigned long options, struct error *err)
{
	int rc = tracee_seize(b->tid, options, err);

	if (rc < 0)
		return rc;
	rc = tracee_wait(b->tid, TRACEE_STOP_WAIT_US);
	if (rc == 0)
		return 0;
	if (rc == -ETIMEDOUT)
		return tracee_drop(o->pid, b->tid, err);
	tracee_leave(o->pid, b->tid);
	return -EAGAIN;
}

/* The call ended without a child: 0 when the kernel will make it anew, else why. */
static int call_result(pid_t tid, struct error *err)
{
	struct tracee_state s;

	if (tracee_get(tid, &s) < 0)
		return error_set(err, -ESRCH, "thread %d is gone", (int)tid);
	if ((int64_t)s.regs.rax == -ERESTARTNOINTR)
		return 0;
	error_sys(err, (int)(int64_t)s.regs.rax, "the kernel refused a copy of the process");
	return -ENOTSUP;
}

/*
 * Lets the thread run into its clone and waits for the child: 0 with its pid, or negative. The
 * thread stands still again, unless -ETIMEDOUT or -ESRCH.
 */
static int await_child(pid_t tid, pid_t *ret, struct error *err)
{
	int64_t until = clock_boot_us() + CLONE_WAIT_US;
	unsigned long child;
	unsigned stops = 0;
	long signal = 0;
	int status;

	for (;;) {
		pid_t got = 0;

		if (ptrace(PTRACE_SYSCALL, tid, NULL, (void *)signal) < 0)
			return error_sys(err, -errno, "cannot resume thread %d", (int)tid);
		while (got == 0 && clock_boot_us() < until) {
			got = waitpid(tid, &status, __WALL | WNOHANG);
			if (got == 0)
				pause_ns(STEP_NS);
		}
		if (got == 0)
			return error_set(err, -ETIMEDOUT, "no copy of the process within %lld s",
					 (long long)(CLONE_WAIT_US / USEC_PER_SEC));
		if (got < 0 || !WIFSTOPPED(status))
			return error_set(err, -ESRCH, "thread %d ended", (int)tid);
		signal = 0;
		if (status >> 16 == PTRACE_EVENT_CLONE)
			break;
		/* The first stop of a call is before it, the second behind it. */
		if (WSTOPSIG(status) == CALL_STOP && ++stops == 2) {
			int rc = call_result(tid, err);

			if (rc < 0)
				return rc;
			stops = 0;
		}
		if (WSTOPSIG(status) != CALL_STOP && status >> 16 == 0)
			signal = WSTOPSIG(status);
	}
	if (ptrace(PTRACE_GETEVENTMSG, tid, NULL, &child) < 0)
		return error_sys(err, -errno, "cannot tell the copy's pid");
	*ret = (pid_t)child;
	return 0;
}

/* Its first stop; from then on it dies with us. */
static int tame_child(pid_t child, struct error *err)
{
	int status;

	if (waitpid(child, &status, __WALL) != child || !WIFSTOPPED(status))
		return error_set(err, -ESRCH, "the copy of the process ended at once");
	if (ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(long)PTRACE_O_EXITKILL) < 0)
		return error_sys(err, -errno, "cannot hold the copy of the process");
	return 0;
}

/* The threads that run stand still in h; the borrowed one among them or by itself. */
static int clone_by(const struct snapshot_order *o, const struct borrowed *b, struct snapshot *ret,
		    struct error *err)
{
	uint64_t args[6] = {CLONE_FILES};
	struct frame f;
	int rc = redirect(o, b, SYS_clone, args, &f, err);

	if (rc == 0)
		rc = await_child(b->tid, &ret->child, err);
	ret->tid = b->tid;
	return rc;
}

#define BORROW_OPTIONS (PTRACE_O_TRACECLONE | PTRACE_O_TRACESYSGOOD)

static int take_by_sleeper(const struct snapshot_order *o, const struct borrowed *b, struct hold *h,
			   struct snapshot *ret, struct error *err)
{
	int rc = hold_threads(h, o->stop_all, b->tid, err);

	if (rc == 0)
		rc = stop_sleeper(o, b, BORROW_OPTIONS, err);
	if (rc < 0)
		return rc;
	rc = o->check(o->arg, err);
	if (rc == 0)
		rc = clone_by(o, b, ret, err);
	/* Sent into the clone it is in no call that could have been cut short. */
	tracee_leave(o->pid, b->tid);
	return rc;
}

/* No thread is at rest: one that runs is as good when it stands between two instructions. */
static int take_by_runner(const struct snapshot_order *o, struct hold *h, struct snapshot *ret,
			  struct error *err)
{
	int rc = hold_threads(h, o->stop_all, 0, err);

	if (rc == 0)
		rc = o->check(o->arg, err);
	if (rc < 0)
		return rc;
	rc = -EAGAIN;
	for (size_t i = 0; rc == -EAGAIN && i < h->n; i++) {
		struct borrowed b = {.tid = h->tids[i]};

		if (ptrace(PTRACE_SETOPTIONS, b.tid, NULL, (void *)(long)BORROW_OPTIONS) < 0)
			continue;
		rc = clone_by(o, &b, ret, err);
	}
	return rc;
}

int snapshot_take(const struct snapshot_order *o, struct snapshot *ret, struct error *err)
{
	struct snapshot s = {0};
	struct borrowed b = {0};
	struct hold h;
	int64_t start;
	int late;
	int rc = hold_init(&h, o->pid);

	*ret = s;
	if (rc < 0)
		return error_set(err, rc, "no memory for the threads");
	error_set(err, 0, "no thread could be borrowed; retry later");
	find_sleeper(o, &b);
	worker_hurry(true);
	start = clock_boot_us();
	if (b.tid)
		rc = take_by_sleeper(o, &b, &h, &s, err);
	else
		rc = take_by_runner(o, &h, &s, err);
	s.held = (unsigned)h.n + (b.tid != 0);
	late = hold_fini(&h, err);
	s.held_us = clock_boot_us() - start;
	worker_hurry(false);
	/* There are late ones only where holding them failed. */
	if (late == -ETIMEDOUT)
		rc = late;
	if (rc == 0 && (rc = tame_child(s.child, err)) < 0)
		kill(s.child, SIGKILL);
	if (rc == 0)
		s.child_there = hold_pid_there(s.child);
	*ret = s;
	return rc;
}

static bool is_there(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return access(path, F_OK) == 0;
}

/* One thread makes wait4() for us; what it returns is seen by the child's being gone. */
static int send_wait(const struct snapshot_order *o, pid_t child_there)
{
	uint64_t args[6] = {(uint64_t)child_there, 0, __WALL | WNOHANG};
	struct borrowed b = {0};
	struct frame f;
	struct hold h;
	int late;
	int rc;

	find_sleeper(o, &b);
	if (b.tid) {
		rc = stop_sleeper(o, &b, 0, NULL);
		if (rc < 0)
			return rc;
		rc = redirect(o, &b, SYS_wait4, args, &f, NULL);
		tracee_leave(o->pid, b.tid);
		return rc;
	}
	rc = hold_init(&h, o->pid);
	if (rc == 0)
		rc = hold_threads(&h, false, 0, NULL);
	for (size_t i = 0; rc == 0 && i < h.n; i++) {
		b.tid = h.tids[i];
		if (redirect(o, &b, SYS_wait4, args, &f, NULL) == 0)
			break;
	}
	late = hold_fini(&h, NULL);
	return late == -ETIMEDOUT ? late : rc;
}

/* The child has ended and its tracer knows: only its parent may take it away. */
static int64_t reap(const struct snapshot_order *o, pid_t child, pid_t child_there)
{
	int64_t until = clock_boot_us() + REAP_WAIT_US;
	int64_t held = 0;
	int rc;

	while (is_there(child)) {
		int64_t start = clock_boot_us();

		if (start >= until)
			return -EAGAIN;
		/* The child is the target's while it is there: its parent is who we think. */
		rc = send_wait(o, child_there);
		if (rc == -ESRCH || rc == -ETIMEDOUT)
			return rc;
		held += clock_boot_us() - start;
		for (int i = 0; i < 10 && is_there(child); i++)
			pause_ns(REAP_STEP_NS);
	}
	return held;
}

int64_t snapshot_end(const struct snapshot_order *o, struct snapshot *s)
{
	int status;

	kill(s->child, SIGKILL);
	while (waitpid(s->child, &status, __WALL) < 0 && errno == EINTR)
		;
	return reap(o, s->child, s->child_there);
}

/* /proc/PID/stat: state, ppid ... starttime (22) ... exit_signal (38). The state of a child of ours
 * that is left, 0 when it is none. */
static char leftover_state(pid_t parent, const char *stat, uint64_t since_ticks)
{
	const char *close = strrchr(stat, ')');
	uint64_t ticks;
	int exit_signal;
	int ppid;
	char state;

	if (!close ||
	    sscanf(close + 1,
		   " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
		   "%" SCNu64 " %*u %*d %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %d",
		   &state, &ppid, &ticks, &exit_signal) != 4 ||
	    ppid != (int)parent || exit_signal != 0 || ticks < since_ticks)
		return 0;
	return state;
}

/* One look at all processes: how many are left that did not end yet. */
static int sweep(const struct snapshot_order *o, DIR *dir, uint64_t since_ticks, int *reaped)
{
	struct dirent *d;
	int left = 0;

	rewinddir(dir);
	while ((d = readdir(dir))) {
		char path[64];
		char stat[1024];
		char state;
		int64_t pid;

		if (str_parse_int(d->d_name, &pid) < 0 || pid <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
		if (fs_read_small(AT_FDCWD, path, stat, sizeof(stat)) < 0)
			continue;
		state = leftover_state(o->pid, stat, since_ticks);
		if (state == 'Z' && reap(o, (pid_t)pid, hold_pid_there((pid_t)pid)) >= 0)
			++*reaped;
		else if (state)
			left++;
	}
	return left;
}

int snapshot_sweep(const struct snapshot_order *o, uint64_t since_ticks)
{
	int64_t until = clock_boot_us() + REAP_WAIT_US;
	DIR *dir = opendir("/proc");
	int reaped = 0;

	if (!dir)
		return -errno;
	while (o->trace->tid && clock_boot_us() < until &&
	       !thread_is_back(o->pid, o->trace->tid, &o->trace->frame))
		pause_ns(REAP_STEP_NS);
	until = clock_boot_us() + REAP_WAIT_US;
	/* The copy was killed with its tracer; taking its memory apart takes a moment. */
	while (sweep(o, dir, since_ticks, &reaped) && clock_boot_us() < until)
		pause_ns(10 * REAP_STEP_NS);
	closedir(dir);
	return reaped;
}
