/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/inject/remote.h"

#include <errno.h>
#include <sys/ptrace.h>

#include "agent/act/inject/hold.h"
#include "common/clock.h"

#ifdef __x86_64__

/* Where the first function returns to: 'pop rdi; ret', its argument, a 'ret' that keeps the stack
 * aligned, the next function; and so on. */
static size_t chain_of(const struct remote *r, const struct remote_call *c,
		       uint64_t words[FRAME_CHAIN_MAX])
{
	size_t n = 0;

	for (size_t i = 1; i < c->n_steps; i++) {
		words[n++] = r->libc->pop_rdi;
		words[n++] = c->steps[i].arg;
		words[n++] = r->libc->pop_rdi + 1;
		words[n++] = c->steps[i].fn;
	}
	return n;
}

/* The thread stands still at a place that will do. */
static int redirect(struct remote *r, pid_t tid, const struct tracee_state *s,
		    const struct remote_call *c, struct error *err)
{
	uint64_t words[FRAME_CHAIN_MAX];
	struct user_regs_struct regs = s->regs;
	struct frame f;
	int rc = frame_build(&s->regs, s->mask, s->xstate, s->xstate_len, r->libc->restorer, &f,
			     err);

	if (rc < 0)
		return rc;
	if (c->interrupt)
		frame_interrupt(&f, &s->regs);
	if (!c->is_syscall && (rc = frame_chain(&f, words, chain_of(r, c, words))) < 0)
		return error_set(err, rc, "too many calls at once");
	if (!tracee_has_room(r->maps, f.address - FRAME_CALLEE_ROOM, s->regs.rsp))
		return error_set(err, -ENOTSUP, "thread %d has no room on its stack", (int)tid);
	if (tracee_write_frame(r->pid, &f) < 0)
		return error_set(err, -EFAULT, "cannot write the stack of thread %d", (int)tid);
	if (c->is_syscall) {
		frame_enter_call(&regs, &f, r->libc->call, c->nr, c->args);
	} else {
		frame_enter(&regs, &f, c->steps[0].fn);
		regs.rdi = c->args[0];
		regs.rsi = c->args[1];
	}
	if (tracee_enter(tid, s, &regs) < 0)
		return error_set(err, -EIO, "cannot set the registers of thread %d", (int)tid);
	return 0;
}

/* Stops it; let go again on failure. */
static int stop(const struct remote *r, pid_t tid, struct error *err)
{
	int rc = tracee_seize(tid, 0, err);

	if (rc < 0)
		return rc;
	rc = tracee_wait(tid, TRACEE_STOP_WAIT_US);
	if (rc == 0)
		return 0;
	if (rc == -ETIMEDOUT)
		return tracee_drop(r->pid, tid, err);
	tracee_leave(r->pid, tid);
	return -EAGAIN;
}

static int finish(struct remote *r, pid_t tid, int64_t start, int rc)
{
	if (rc < 0)
		tracee_leave(r->pid, tid);
	else
		tracee_let_go(tid);
	r->held_us += clock_boot_us() - start;
	return rc;
}

static int stop_sleeper(struct remote *r, pid_t tid, struct tracee_state *s, struct error *err)
{
	struct blocked seen;
	int rc = thread_look(r->pid, tid, r->libc, r->maps, &seen);

	if (rc == 0)
		rc = stop(r, tid, err);
	if (rc < 0)
		return rc;
	if (tracee_get(tid, s) < 0 || !thread_at_safe_point(r->pid, s, r->libc, &seen) ||
	    tracee_has_signal(r->pid, tid))
		rc = -EAGAIN;
	else
		rc = r->check ? r->check(r->arg, s, err) : 0;
	if (rc < 0)
		tracee_leave(r->pid, tid);
	return rc;
}

int remote_by_sleeper(struct remote *r, pid_t tid, const struct remote_call *c, struct error *err)
{
	int64_t start = clock_boot_us();
	struct tracee_state s;
	int rc = stop_sleeper(r, tid, &s, err);

	return rc < 0 ? rc : finish(r, tid, start, redirect(r, tid, &s, c, err));
}

int remote_by_runner(struct remote *r, pid_t tid, uint64_t low, uint64_t high,
		     const struct remote_call *c, struct error *err)
{
	int64_t start = clock_boot_us();
	struct tracee_state s;
	int rc = stop(r, tid, err);

	if (rc < 0)
		return rc;
	if (tracee_get(tid, &s) < 0 || !tracee_in_user(r->pid, tid, &s) ||
	    (high && (s.regs.rip < low || s.regs.rip >= high)) ||
	    !thread_has_stack(r->pid, r->libc, r->maps, s.regs.rsp))
		rc = -EAGAIN;
	else
		rc = r->check ? r->check(r->arg, &s, err) : 0;
	return finish(r, tid, start, rc < 0 ? rc : redirect(r, tid, &s, c, err));
}

int remote_wake(struct remote *r, pid_t tid, struct error *err)
{
	int64_t start = clock_boot_us();
	struct tracee_state s;
	int rc = stop_sleeper(r, tid, &s, err);

	if (rc < 0)
		return rc;
	s.regs.rax = (unsigned long long)-EINTR;
	s.regs.orig_rax = (unsigned long long)-1;
	if (ptrace(PTRACE_SETREGS, tid, NULL, &s.regs) < 0)
		rc = error_set(err, -EIO, "cannot set the registers of thread %d", (int)tid);
	return finish(r, tid, start, rc);
}

#else

int remote_by_sleeper(struct remote *r unused_arg, pid_t tid unused_arg,
		      const struct remote_call *c unused_arg, struct error *err)
{
	return error_set(err, -ENOTSUP, "remote calls are for x86-64 only");
}

int remote_by_runner(struct remote *r unused_arg, pid_t tid unused_arg, uint64_t low unused_arg,
		     uint64_t high unused_arg, const struct remote_call *c unused_arg,
		     struct error *err)
{
	return error_set(err, -ENOTSUP, "remote calls are for x86-64 only");
}

int remote_wake(struct remote *r unused_arg, pid_t tid unused_arg, struct error *err)
{
	return error_set(err, -ENOTSUP, "remote calls are for x86-64 only");
}

#endif

int remote_by_any_sleeper(struct remote *r, pid_t except, const struct remote_call *c,
			  pid_t *ret_tid, struct error *err)
{
	static pid_t tids[HOLD_MAX];
	int n = hold_list(r->pid, tids, HOLD_MAX);
	int rc = -EAGAIN;

	for (int i = 0; i < n && rc == -EAGAIN; i++) {
		if (tids[i] == except)
			continue;
		rc = remote_by_sleeper(r, tids[i], c, err);
		if (rc == 0)
			*ret_tid = tids[i];
	}
	return n < 0 ? n : rc;
}
