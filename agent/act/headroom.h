/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headroom.h - how much a process may still grow: to the nearest limit of its cgroups (v1 or v2),
 * and to the end of the host's memory. File pages that the kernel would give back count as free.
 */
#ifndef MEMHERD_AGENT_ACT_HEADROOM_H
#define MEMHERD_AGENT_ACT_HEADROOM_H

#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

struct headroom {
	int64_t memory; /* bytes */
	int64_t pids;   /* processes and threads; INT64_MAX = no limit */
};

/* -errno when the host's own figures cannot be read. A cgroup that cannot be found (its hierarchy
 * is not mounted here) sets no limit. */
int headroom_read(pid_t pid, struct headroom *ret, struct error *err) must_use;

/* The pure parts. The path of a controller's cgroup in /proc/PID/cgroup; "" is v2. */
int headroom_cgroup(const char *text, const char *controller, char *out, size_t size) must_use;
/* Where a hierarchy is mounted, of /proc/self/mountinfo. */
int headroom_mount(const char *text, const char *controller, char *out, size_t size) must_use;

#endif
