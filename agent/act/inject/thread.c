/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/inject/thread.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "common/clock.h"
#include "common/fs.h"

#define STOP_WAIT_US 50000
#define STOP_STEP_NS 20000
#define CS_64BIT     0x33
#define HANDLER_SCAN (256u << 10)
#define RSP_ROOM     (FRAME_MAX + FRAME_CALLEE_ROOM + 512)

static int read_task_file(pid_t pid, pid_t tid, const char *name, char *out, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, (int)tid, name);
	return fs_read_small(AT_FDCWD, path, out, size);
}

/* The whole of [low, sp) must be in the one writable mapping: below it lies a guard page. */
static bool has_room(const struct maps *m, uint64_t low, uint64_t sp)
{
	const struct map *stack = maps_at(m, sp);

	return stack && stack->writable && low < sp && low >= stack->start;
}

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

	if (read_task_file(pid, tid, "stat", stat, sizeof(stat)) < 0 || stat_state(stat) != 'S')
		return -EAGAIN;
	if (read_task_file(pid, tid, "syscall", line, sizeof(line)) < 0 ||
	    blocked_parse(line, &b) < 0)
		return -EAGAIN;
	if (!safepoint_call(b.nr, b.args[1]) || !libc_has(l, b.pc) ||
	    !has_room(m, b.sp - RSP_ROOM, b.sp) || in_handler(pid, l, m, b.sp))
		return -EAGAIN;
	*ret = b;
	return 0;
}

/*
 * Waits for the stop that PTRACE_INTERRUPT asked for. A signal that comes first is passed on. A
 * thread that does not stop in time is let go when the worker ends.
 */
static int wait_stop(pid_t tid)
{
	const struct timespec step = {.tv_nsec = STOP_STEP_NS};
	int64_t until = clock_boot_us() + STOP_WAIT_US;

	while (clock_boot_us() < until) {
		int status;
		pid_t got = waitpid(tid, &status, __WALL | WNOHANG);

		if (got < 0)
			return -errno;
		if (got == 0) {
			nanosleep(&step, NULL);
			continue;
		}
		if (!WIFSTOPPED(status))
			return -ESRCH;
		if (status >> 16 == PTRACE_EVENT_STOP)
			return WSTOPSIG(status) == SIGTRAP ? 0 : -EAGAIN;
		if (ptrace(PTRACE_CONT, tid, NULL, (void *)(long)WSTOPSIG(status)) < 0)
			return -errno;
	}
	return -ETIMEDOUT;
}

struct held {
	struct user_regs_struct regs;
	uint64_t mask;
	uint8_t xstate[FRAME_XSTATE_MAX];
	size_t xstate_len;
};

static int get_state(pid_t tid, struct held *h)
{
	struct iovec regs = {.iov_base = &h->regs, .iov_len = sizeof(h->regs)};
	struct iovec xstate = {.iov_base = h->xstate, .iov_len = sizeof(h->xstate)};

	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &regs) < 0 ||
	    regs.iov_len != sizeof(h->regs) ||
	    ptrace(PTRACE_GETREGSET, tid, (void *)NT_X86_XSTATE, &xstate) < 0 ||
	    ptrace(PTRACE_GETSIGMASK, tid, (void *)sizeof(h->mask), &h->mask) < 0)
		return -EIO;
	h->xstate_len = xstate.iov_len;
	return 0;
}

#ifdef __x86_64__
/* What /proc said, asked again of the thread that now stands still. */
static bool at_safe_point(pid_t pid, const struct held *h, const struct libc *l,
			  const struct blocked *seen)
{
	uint8_t code[2] = {0};
	struct iovec local = {.iov_base = code, .iov_len = sizeof(code)};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)(h->regs.rip - 2),
			       .iov_len = sizeof(code)};

	return h->regs.cs == CS_64BIT && h->regs.rsp == seen->sp &&
	       (int64_t)h->regs.orig_rax == seen->nr &&
	       safepoint_call((int64_t)h->regs.orig_rax, h->regs.rsi) &&
	       safepoint_interrupted((int64_t)h->regs.rax) && libc_has(l, h->regs.rip) &&
	       process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)sizeof(code) &&
	       code[0] == 0x0f && code[1] == 0x05;
}

static int write_frame(pid_t pid, const struct frame *f)
{
	struct iovec local = {.iov_base = (void *)f->bytes, .iov_len = f->len};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)f->address, .iov_len = f->len};

	return process_vm_writev(pid, &local, 1, &remote, 1, 0) == (ssize_t)f->len ? 0 : -EFAULT;
}

static int enter(pid_t tid, struct held *h, const struct frame *f, uint64_t fn)
{
	/* Blocking a fault's signal would make the kernel forget its handler. */
	const uint64_t faults = 1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) |
				1ull << (SIGILL - 1) | 1ull << (SIGFPE - 1) |
				1ull << (SIGTRAP - 1) | 1ull << (SIGSYS - 1);
	uint64_t blocked = h->mask | ~faults;
	struct user_regs_struct regs = h->regs;
	struct iovec iov = {.iov_base = &regs, .iov_len = sizeof(regs)};

	frame_enter(&regs, f, fn);
	if (ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &iov) < 0)
		return -EIO;
	/* From here the thread will trim, also when we die now; that it might then take a signal
	 * inside malloc is no worse than what every signal does to it. */
	if (ptrace(PTRACE_SETSIGMASK, tid, (void *)sizeof(blocked), &blocked) < 0)
		return -EIO;
	return 0;
}

/* The thread stands still. */
static int redirect(pid_t pid, pid_t tid, const struct libc *l, const struct maps *m,
		    const struct blocked *seen, struct frame *f, struct error *err)
{
	struct held h = {0};
	int rc;

	if (get_state(tid, &h) < 0 || !at_safe_point(pid, &h, l, seen))
		return -EAGAIN;
	rc = frame_build(&h.regs, h.mask, h.xstate, h.xstate_len, l->restorer, f, err);
	if (rc < 0)
		return rc;
	if (!has_room(m, f->address - FRAME_CALLEE_ROOM, h.regs.rsp))
		return error_set(err, -ENOTSUP, "thread %d has no room on its stack", (int)tid);
	if (write_frame(pid, f) < 0)
		return error_set(err, -EFAULT, "cannot write the stack of thread %d", (int)tid);
	if (enter(tid, &h, f, l->malloc_trim) < 0)
		return error_set(err, -EIO, "cannot set the registers of thread %d", (int)tid);
	return 0;
}
#else
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
	int rc;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0) {
		if (errno == ESRCH)
			return -EAGAIN;
		return error_sys(err, -errno, "cannot attach to thread %d", (int)tid);
	}
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0)
		return -EAGAIN;
	rc = wait_stop(tid);
	if (rc == 0) {
		if (still_ours(arg))
			rc = redirect(pid, tid, l, m, seen, ret, err);
		else
			rc = error_set(err, -ESRCH, "process %d is another one now", (int)pid);
	} else if (rc == -ETIMEDOUT) {
		return error_set(err, -ETIMEDOUT, "thread %d did not stop within %d ms", (int)tid,
				 STOP_WAIT_US / 1000);
	} else {
		rc = -EAGAIN;
	}
	ptrace(PTRACE_DETACH, tid, NULL, NULL);
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

	if (read_task_file(pid, tid, "syscall", line, sizeof(line)) < 0)
		return true;
	if (blocked_parse(line, &b) == 0 && b.sp > f->address)
		return true;
	/* malloc_trim works below the frame: only what comes after it writes over it. */
	return process_vm_readv(pid, &local, 1, &remote, 1, 0) != (ssize_t)f->len ||
	       memcmp(now, f->bytes, f->len) != 0;
}
