/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libc.h - the C library that the target has mapped, which is rarely the one on this host's disk:
 * a container brings its own, and an upgrade leaves old processes with a deleted one.
 *
 * Called in the disposable worker only (worker.h): it maps files of the target.
 */
#ifndef MEMHERD_AGENT_ACT_INJECT_LIBC_H
#define MEMHERD_AGENT_ACT_INJECT_LIBC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/python/maps.h"
#include "common/error.h"

struct libc {
	uint64_t malloc_trim;
	uint64_t restorer;    /* 'mov $15, %rax; syscall': rt_sigreturn */
	uint64_t call;        /* 'syscall; ret' */
	uint64_t exit;        /* _exit() */
	uint64_t pop_rdi;     /* 'pop %rdi; ret', and one byte on a 'ret' */
	uint64_t text[2];     /* start and end of libc's code */
	uint64_t pthreads[2]; /* of libpthread before glibc 2.34, where it has calls that wait */
};

/* -ENOTSUP with the reason when this process has no malloc_trim that would help. */
int libc_check_allocator(const struct maps *m, struct error *err) must_use;
/* The addresses, compared with the target's own memory. */
int libc_find(pid_t pid, const struct maps *m, struct libc *ret, struct error *err) must_use;
/* Without malloc_trim: what it takes to have a thread make a system call. Whatever allocator the
 * process uses. */
int libc_find_calls(pid_t pid, const struct maps *m, struct libc *ret, struct error *err) must_use;
/* True when an instruction pointer is in libc's or libpthread's code. */
bool libc_has(const struct libc *l, uint64_t pc);

#endif
