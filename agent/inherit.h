/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inherit.h - what the supervisor opens for sense, which has no right to open it itself: the
 * kernel's news of processes that end (proc connector), and the OOM killer's tracepoint.
 *
 * Opened once, before the first child, with whatever rights the supervisor was started with; a
 * descriptor outlives each sense, so what happens between two of them waits in the kernel. What
 * cannot be opened is -1 and its reason is kept for the posture: sense then says what it is
 * blind for. Sources: Documentation/driver-api/connector.rst, linux/cn_proc.h;
 * events/oom/mark_victim of Documentation/trace/.
 */
#ifndef MEMHERD_AGENT_INHERIT_H
#define MEMHERD_AGENT_INHERIT_H

#include "agent/fds.h"
#include "common/check.h"

/* A netlink socket that tells of each process that ends, or -errno (-EPERM without CAP_NET_ADMIN,
 * -ENOENT... for a kernel or a network namespace without it, -EOPNOTSUPP in any PID namespace but
 * the first). */
int inherit_exits(void) must_use;

#define INHERIT_TRACE_PATH "/sys/kernel/tracing"
/* The trace_pipe of an instance of our own below the tracefs at path, or -errno. */
int inherit_trace(const char *path) must_use;
/* Takes the instance away again, after its descriptor was closed everywhere. */
void inherit_trace_end(const char *path);

#endif
