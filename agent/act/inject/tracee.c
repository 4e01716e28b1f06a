/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/inject/tracee.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "agent/act/inject/safepoint.h"
#include "agent/python/memory.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/fs.h"

#define STOP_STEP_NS 20000
#define CS_64BIT     0x33
#define STATUS_SIZE  4096
/* uapi/linux/ptrace.h of 5.13; the C library's header has neither. */
#define GET_RSEQ_CONFIGURATION 0x420f
#define RSEQ_CS_OFFSET         8u

struct rseq_configuration {
	uint64_t address;
	uint32_t size;
	uint32_t signature;
	uint32_t flags;
	uint32_t padding;
};

int tracee_file(pid_t pid, pid_t tid, const char *name, char *out, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, (int)tid, name);
	return fs_read_small(AT_FDCWD, path, out, size);
}

bool tracee_has_room(const struct maps *m, uint64_t low, uint64_t sp)
{
	const struct map *stack = maps_at(m, sp);

	return stack && stack->writable && low < sp && low >= stack->start;
}

int tracee_seize(pid_t tid, unsigned long options, struct error *err)
{
	if (ptrace(PTRACE_SEIZE, tid, NULL, (void *)options) < 0) {
		if (errno == ESRCH)
			return -EAGAIN;
		return error_sys(err, -errno, "cannot attach to thread %d", (int)tid);
	}
	FAILPOINT("inject.seized");
	return ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0 ? -EAGAIN : 0;
}

int tracee_poll(pid_t tid)
{
	int status;
	pid_t got = waitpid(tid, &status, __WALL | WNOHANG);

	if (got <= 0)
		return got < 0 ? -errno : -EINPROGRESS;
	if (!WIFSTOPPED(status))
		return -ESRCH;
	FAILPOINT("inject.stopped");
	if (status >> 16 == PTRACE_EVENT_STOP)
		return WSTOPSIG(status) == SIGTRAP ? 0 : 1;
	if (ptrace(PTRACE_CONT, tid, NULL, (void *)(long)WSTOPSIG(status)) < 0)
		return -errno;
	return -EINPROGRESS;
}

int tracee_wait(pid_t tid, int64_t limit_us)
{
	const struct timespec step = {.tv_nsec = STOP_STEP_NS};
	int64_t until = clock_boot_us() + limit_us;

	while (clock_boot_us() < until) {
		int rc = tracee_poll(tid);

		if (rc != -EINPROGRESS)
			return rc;
		nanosleep(&step, NULL);
	}
	return -ETIMEDOUT;
}

int tracee_drop(pid_t pid, pid_t tid, struct error *err)
{
	if (tracee_wait(tid, TRACEE_DROP_WAIT_US) == -ETIMEDOUT)
		return error_set(err, -ETIMEDOUT, "thread %d did not stop within %d ms", (int)tid,
				 TRACEE_DROP_WAIT_US / 1000);
	tracee_leave(pid, tid);
	return error_set(err, -EAGAIN, "thread %d did not stop within %d ms; retry later", (int)tid,
			 TRACEE_STOP_WAIT_US / 1000);
}

void tracee_let_go(pid_t tid)
{
	FAILPOINT("inject.let_go");
	ptrace(PTRACE_DETACH, tid, NULL, NULL);
	FAILPOINT("inject.gone");
}

void tracee_leave(pid_t pid, pid_t tid)
{
	tracee_hide_stop(pid, tid);
	tracee_let_go(tid);
}

int tracee_get(pid_t tid, struct tracee_state *ret)
{
	struct iovec regs = {.iov_base = &ret->regs, .iov_len = sizeof(ret->regs)};
	struct iovec xstate = {.iov_base = ret->xstate, .iov_len = sizeof(ret->xstate)};

	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &regs) < 0 ||
	    regs.iov_len != sizeof(ret->regs) ||
	    ptrace(PTRACE_GETREGSET, tid, (void *)NT_X86_XSTATE, &xstate) < 0 ||
	    ptrace(PTRACE_GETSIGMASK, tid, (void *)sizeof(ret->mask), &ret->mask) < 0)
		return -EIO;
	ret->xstate_len = xstate.iov_len;
	return 0;
}

int tracee_write_frame(pid_t pid, const struct frame *f)
{
	struct iovec local = {.iov_base = (void *)f->bytes, .iov_len = f->len};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)f->address, .iov_len = f->len};

	return process_vm_writev(pid, &local, 1, &remote, 1, 0) == (ssize_t)f->len ? 0 : -EFAULT;
}

int tracee_enter(pid_t tid, const struct tracee_state *old, struct user_regs_struct *regs)
{
	/* Blocking a fault's signal would make the kernel forget its handler. */
	const uint64_t faults = 1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) |
				1ull << (SIGILL - 1) | 1ull << (SIGFPE - 1) |
				1ull << (SIGTRAP - 1) | 1ull << (SIGSYS - 1);
	uint64_t blocked = old->mask | ~faults;
	struct iovec iov = {.iov_base = regs, .iov_len = sizeof(*regs)};

	FAILPOINT("inject.framed");
	if (ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &iov) < 0)
		return -EIO;
	FAILPOINT("inject.entered");
	/* From here the thread makes the call, also when we die now; that it might then take a
	 * signal inside of it is no worse than what every signal does to it. */
	if (ptrace(PTRACE_SETSIGMASK, tid, (void *)sizeof(blocked), &blocked) < 0)
		return -EIO;
	return 0;
}

#ifdef __x86_64__
bool tracee_in_call(pid_t pid, const struct tracee_state *s)
{
	uint8_t code[2] = {0};

	return s->regs.cs == CS_64BIT && (int64_t)s->regs.orig_rax >= 0 &&
	       safepoint_interrupted((int64_t)s->regs.rax) &&
	       memory_read(pid, s->regs.rip - sizeof(code), code, sizeof(code)) == 0 &&
	       code[0] == 0x0f && code[1] == 0x05;
}

/* Inside of a restartable sequence the kernel would look for us at the wrong place. */
static bool in_restartable(pid_t pid, pid_t tid)
{
	struct rseq_configuration c = {0};
	uint64_t cs;

	if (ptrace((enum __ptrace_request)GET_RSEQ_CONFIGURATION, tid, (void *)sizeof(c), &c) < 0)
		return true;
	if (!c.address)
		return false;
	return memory_read(pid, c.address + RSEQ_CS_OFFSET, &cs, sizeof(cs)) < 0 || cs;
}

bool tracee_in_user(pid_t pid, pid_t tid, const struct tracee_state *s)
{
	return s->regs.cs == CS_64BIT && (int64_t)s->regs.orig_rax == -1 &&
	       !in_restartable(pid, tid);
}

bool tracee_has_signal(pid_t pid, pid_t tid)
{
	char text[STATUS_SIZE];
	uint64_t masks[3] = {0};
	static const char *const names[] = {"\nSigPnd:", "\nShdPnd:", "\nSigBlk:"};

	if (tracee_file(pid, tid, "status", text, sizeof(text)) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *line = strstr(text, names[i]);

		if (!line || sscanf(line + strlen(names[i]), "%" SCNx64, &masks[i]) != 1)
			return true;
	}
	return (masks[0] | masks[1]) & ~masks[2];
}

uint64_t tracee_blocked(pid_t pid, pid_t tid)
{
	static const char name[] = "\nSigBlk:";
	char text[STATUS_SIZE];
	const char *line;
	uint64_t mask;

	if (tracee_file(pid, tid, "status", text, sizeof(text)) < 0)
		return ~0ull;
	line = strstr(text, name);
	return line && sscanf(line + sizeof(name) - 1, "%" SCNx64, &mask) == 1 ? mask : ~0ull;
}

/* Calls that fail with EINTR, having done nothing, when a stop wakes them: signal(7). */
static bool fails_interrupted(int64_t nr, uint64_t arg1)
{
	return safepoint_call(nr, arg1) || nr == SYS_rt_sigtimedwait || nr == SYS_semop ||
	       nr == SYS_semtimedop || nr == SYS_io_getevents || nr == SYS_connect ||
	       nr == SYS_futex;
}

void tracee_hide_stop(pid_t pid, pid_t tid)
{
	struct user_regs_struct regs;
	struct iovec iov = {.iov_base = &regs, .iov_len = sizeof(regs)};

	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &iov) < 0 || regs.cs != CS_64BIT ||
	    (int64_t)regs.rax != -EINTR || !fails_interrupted((int64_t)regs.orig_rax, regs.rsi) ||
	    tracee_has_signal(pid, tid))
		return;
	regs.rip -= 2;
	regs.rax = regs.orig_rax;
	regs.orig_rax = (unsigned long long)-1;
	ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &iov);
}
#else
bool tracee_in_call(pid_t pid unused_arg, const struct tracee_state *s unused_arg)
{
	return false;
}

bool tracee_in_user(pid_t pid unused_arg, pid_t tid unused_arg,
		    const struct tracee_state *s unused_arg)
{
	return false;
}

bool tracee_has_signal(pid_t pid unused_arg, pid_t tid unused_arg)
{
	return false;
}

uint64_t tracee_blocked(pid_t pid unused_arg, pid_t tid unused_arg)
{
	return ~0ull;
}

void tracee_hide_stop(pid_t pid unused_arg, pid_t tid unused_arg)
{
}
#endif
