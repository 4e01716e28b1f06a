/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.h - what is known of a process before anything is done to it, resolved from /proc and
 * never taken from the command. The pidfd is opened first, so that a pid that is given to another
 * process while we read cannot mix the two.
 */
#ifndef MEMHERD_AGENT_ACT_PROCESS_H
#define MEMHERD_AGENT_ACT_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/act/supervisor.h"
#include "common/error.h"

#define PROCESS_COMM_SIZE 64
#define PROCESS_PATH_SIZE 1024

struct process {
	pid_t pid;
	pid_t parent; /* 0 = none */
	int pidfd;
	uint64_t start_ticks; /* stat field 22 */
	uint32_t uid;         /* effective */
	char state;           /* 'R', 'S', ... */
	bool kernel_thread;
	bool container;    /* in another pid or user namespace than ours */
	bool shadow_stack; /* x86 user shadow stacks are on */
	bool wide;         /* a 64-bit program */
	unsigned seccomp;  /* 0 none, 1 strict, 2 filter */
	pid_t tracer;      /* 0 = none */
	uint64_t caught;   /* signals that it has a handler for: bit 0 is SIGHUP */
	char comm[PROCESS_COMM_SIZE];
	char exe[PROCESS_PATH_SIZE];    /* without ' (deleted)'; "" for a kernel thread */
	char cgroup[PROCESS_PATH_SIZE]; /* v2, or v1's name=systemd, or v1's memory */
	struct supervisor supervisor;   /* who starts it again */
};

struct process_memory {
	int64_t rss; /* bytes; VmRSS and VmSwap of status */
	int64_t swap;
};

/* -ESRCH when there is none. */
int process_open(pid_t pid, struct process *ret, struct error *err) must_use;
void process_fini(struct process *p);
/* False once it has ended. */
bool process_alive(const struct process *p);
/* Waits; false when it has not ended by then (clock_boot_us()). */
bool process_ends_until(const struct process *p, int64_t until_us);
bool process_catches(const struct process *p, int signal);
/* Through the pidfd: never to whoever has the pid by now. -ESRCH: it ended by itself. */
int process_signal(const struct process *p, int signal, struct error *err) must_use;
/* -ENOTSUP: it has ended, another one traces it, or nothing can be done in it (strict seccomp). */
int process_check_traceable(const struct process *p, struct error *err) must_use;
int process_start_ticks(pid_t pid, uint64_t *ret) must_use;
/* What /proc/PID/stat alone tells: cheap; the other fields are 0. */
int process_stat(pid_t pid, struct process *ret) must_use;
int process_memory(const struct process *p, struct process_memory *ret, struct error *err) must_use;
/* The inodes of the sockets that it has open, as many as there is room for: their number, or
 * -errno. */
int process_sockets(pid_t pid, uint64_t *inodes, int max) must_use;
/* This boot's id, the other half of a process's identity. */
int process_boot_id(uint8_t ret[16], struct error *err) must_use;

/* The pure parts; -EBADMSG for a text that the kernel does not write. */
int process_parse_stat(const char *text, struct process *p) must_use;
int process_parse_status(const char *text, struct process *p) must_use;
int process_parse_memory(const char *text, struct process_memory *ret) must_use;
void process_parse_cgroup(const char *text, struct process *p);

static inline void auto_process_(struct process *p)
{
	process_fini(p);
}
#define auto_process __attribute__((cleanup(auto_process_)))

#endif
