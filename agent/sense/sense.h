/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sense.h - the gathering process: samples the host on a grid of wall-clock intervals and hands
 * encoded ticks to link. It has no network and, once sense_run() is called, the privileges that the
 * supervisor left it (CAP_SYS_PTRACE for descriptors and exe of other users, nothing more).
 */
#ifndef MEMHERD_AGENT_SENSE_SENSE_H
#define MEMHERD_AGENT_SENSE_SENSE_H

#include <stddef.h>
#include <stdint.h>

#include "common/check.h"

struct sense_config {
	const char *proc_path;         /* NULL = "/proc" */
	int64_t interval_us;           /* 0 = 10 s */
	int64_t window_us;             /* 0 = 30 min: the first tick of each window is a keyframe */
	int64_t keyframe_us;           /* 0 = 5 min: the longest time between keyframes */
	size_t max_processes;          /* 0 = 5000 */
	const char *expected_services; /* NULL = none; services_expectable() */
	int64_t absent_after_us;       /* 0 = 60 s */
};

/*
 * Runs in the process made for it until link_fd closes or SIGTERM or SIGINT comes; logs under the
 * ident that the caller set. link_fd is one end of a SOCK_STREAM pair (agent/record.h), made
 * non-blocking here and not closed. The exit code of the process: 0, or 1 after an error was
 * logged.
 */
int sense_run(const struct sense_config *cfg, int link_fd) must_use;

#endif
