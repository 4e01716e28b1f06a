/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/inject/thread.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "agent/act/inject/tracee.h"
#include "common/clock.h"

#define HANDLER_SCAN (256u << 10)
#define RSP_ROOM     (FRAME_MAX + FRAME_CALLEE_ROOM + 512)

/* A stack that cannot be read counts as one with a handler on it. */
static bool in_handler(pid_t pid, const struct libc *l, const struct maps *m, uint64_t sp)
{
	static uint64_t words[HANDLER_SCAN / 8];
	const struct map *stack = maps_at(m, sp);
	size_t len =
		stack ? (size_t)MIN_OF(stack->end - sp, (uint64_t)HANDLER_SCAN) & ~(size_t)7 : 0;
	struct iovec local = {.iov_base = words, .iov_len = len};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)sp, .iov_len = len};

	if (!len || sp % 8 || process_vm_readv(pid, &local, 1, &remote, 1, 0) != (ssize_t)len)
		return true;
	return frame_has_handler(words, len / 8, l->restorer);
}

int thread_look(pid_t pid, pid_t tid, const struct libc *l, const struct maps *m,
		struct blocked *ret)
{
	char stat[1024];
	char line[256];
	struct blocked b;

	if (tracee_file(pid, tid, "stat", stat, sizeof(stat)) < 0 || stat_state(stat) != 'S')
		return -EAGAIN;
	if (tracee_file(pid, tid, "syscall", line, sizeof(line)) < 0 || blocked_parse(line, &b) < 0)
		return -EAGAIN;
	if (!safepoint_call(b.nr, b.args[1]) || !libc_has(l, b.pc) ||
	    !tracee_has_room(m, b.sp - RSP_ROOM, b.sp) || in_handler(pid, l, m, b.sp))
		return -EAGAIN;
	*ret = b;
	return 0;
}

bool thread_has_stack(pid_t pid, const struct libc *l, const struct maps *m, uint64_t sp)
{
	return tracee_has_room(m, sp - RSP_ROOM, sp) && !in_handler(pid, l, m, sp & ~7ull);
}

#ifdef __x86_64__
bool thread_at_safe_point(pid_t pid, const struct tracee_state *h, const struct libc *l,
			  const struct blocked *seen)
{
	return h->regs.rsp == seen->sp && (int64_t)h->regs.orig_rax == seen->nr &&
	       safepoint_call((int64_t)h->regs.orig_rax, h->regs.rsi) && libc_has(l, h->regs.rip) &&
	       tracee_in_call(pid, h);
}

/* The thread stands still. */
static int redirect(pid_t pid, pid_t tid, const struct libc *l, const struct maps *m,
		    const struct blocked *seen, struct frame *f, struct error *err)
{
	struct user_regs_struct regs;
	struct tracee_state h;
	int rc;

	if (tracee_get(tid, &h) < 0 || !thread_at_safe_point(pid, &h, l, seen) ||
	    tracee_has_signal(pid, tid))
		return -EAGAIN;
	rc = frame_build(&h.regs, h.mask, h.xstate, h.xstate_len, l->restorer, f, err);
	if (rc < 0)
		return rc;
	if (!tracee_has_room(m, f->address - FRAME_CALLEE_ROOM, h.regs.rsp))
		return error_set(err, -ENOTSUP, "thread %d has no room on its stack", (int)tid);
	if (tracee_write_frame(pid, f) < 0)
		return error_set(err, -EFAULT, "cannot write the stack of thread %d", (int)tid);
	regs = h.regs;
	frame_enter(&regs, f, l->malloc_trim);
	if (tracee_enter(tid, &h, &regs) < 0)
		return error_set(err, -EIO, "cannot set the registers of thread %d", (int)tid);
	return 0;
}
#else
bool thread_at_safe_point(pid_t pid unused_arg, const struct tracee_state *h unused_arg,
			  const struct libc *l unused_arg, const struct blocked *seen unused_arg)
{
	return false;
}

static int redirect(pid_t pid unused_arg, pid_t tid unused_arg, const struct libc *l unused_arg,
		    const struct maps *m unused_arg, const struct blocked *seen unused_arg,
		    struct frame *f unused_arg, struct error *err)
{
	return error_set(err, -ENOTSUP, "remote calls are for x86-64 only");
}
#endif

int thread_send(pid_t pid, pid_t tid, const struct libc *l, const struct maps *m,
		const struct blocked *seen, bool (*still_ours)(const void *arg), const void *arg,
		struct frame *ret, int64_t *ret_held_us, struct error *err)
{
	int64_t start = clock_boot_us();
	int rc = tracee_seize(tid, 0, err);

	if (rc < 0)
		return rc;
	rc = tracee_wait(tid, TRACEE_STOP_WAIT_US);
	if (rc == 0) {
		if (still_ours(arg))
			rc = redirect(pid, tid, l, m, seen, ret, err);
		else
			rc = error_set(err, -ESRCH, "process %d is another one now", (int)pid);
	} else if (rc == -ETIMEDOUT) {
		/* it will: left to our end, it would tell the program of an interruption */
		rc = tracee_drop(pid, tid, err);
		*ret_held_us = clock_boot_us() - start;
		return rc;
	} else {
		rc = -EAGAIN;
	}
	if (rc < 0)
		tracee_leave(pid, tid);
	else
		tracee_let_go(tid);
	*ret_held_us = clock_boot_us() - start;
	return rc;
}

bool thread_is_back(pid_t pid, pid_t tid, const struct frame *f)
{
	uint8_t now[FRAME_MAX];
	struct iovec local = {.iov_base = now, .iov_len = f->len};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)f->address, .iov_len = f->len};
	struct blocked b;
	char line[256];

	if (tracee_file(pid, tid, "syscall", line, sizeof(line)) < 0)
		return true;
	if (blocked_parse(line, &b) == 0 && b.sp > f->address)
		return true;
	/* malloc_trim works below the frame: only what comes after it writes over it. */
	return process_vm_readv(pid, &local, 1, &remote, 1, 0) != (ssize_t)f->len ||
	       memcmp(now, f->bytes, f->len) != 0;
}
