/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sense.h - the gathering process: samples the host on a grid of wall-clock intervals, faster while
 * memory runs out, and hands encoded ticks, events and kills to link. It has no network and, once
 * sense_run() is called, the privileges that the supervisor left it (CAP_SYS_PTRACE for descriptors
 * and exe of other users, CAP_SYSLOG for the kernel's log, nothing more).
 */
#ifndef MEMHERD_AGENT_SENSE_SENSE_H
#define MEMHERD_AGENT_SENSE_SENSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/fds.h"
#include "common/check.h"

enum sense_hurry { SENSE_HURRY_AUTO, SENSE_HURRY_ALWAYS, SENSE_HURRY_OFF };

struct sense_config {
	const char *proc_path; /* NULL = "/proc" */
	int64_t interval_us;   /* 0 = 10 s */
	int64_t window_us;     /* 0 = 30 min: the first tick of each window is a keyframe */
	int64_t keyframe_us;   /* 0 = 5 min: the longest time between keyframes */
	size_t max_processes;  /* 0 = 5000 */
	const char *state_dir; /* for the black box; NULL = none is kept */
	enum sense_hurry hurry;
	uint32_t pss_share;            /* CPU that PSS may take, 1/10000 of a core */
	bool no_python;                /* interpreters are not read */
	uint32_t max_cpu;              /* of all, likewise; 0 = no ceiling */
	int64_t max_rss;               /* bytes; 0 = no ceiling */
	int64_t ring_bytes;            /* flight ring, at most; 0 = 1 MiB */
	const char *expected_services; /* NULL = none; services_expectable() */
	int64_t absent_after_us;       /* 0 = 60 s */
};

/*
 * Runs in the process made for it until link_fd closes or SIGTERM or SIGINT comes; logs under the
 * ident that the caller set. fds->link is one end of a SOCK_STREAM pair (agent/record.h), made
 * non-blocking here; none of fds is closed. The exit code of the process: 0, or 1 after an error
 * was logged.
 */
int sense_run(const struct sense_config *cfg, const struct sense_fds *fds) must_use;

#endif
