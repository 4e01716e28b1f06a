/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reclaim.h - the action 'reclaim': has the kernel take memory from a unit's or container's cgroup
 * now that it would else take when the host is short: cgroup v2's memory.reclaim (Linux 5.19), v1's
 * memory.force_empty, which knows no amount. A process without a cgroup of its own: pageout.h.
 */
#ifndef MEMHERD_AGENT_ACT_RECLAIM_H
#define MEMHERD_AGENT_ACT_RECLAIM_H

#include "agent/act/action.h"

/* Places of its parameters. */
enum reclaim_param { RECLAIM_BYTES };

struct reclaim_figures {
	int64_t usage; /* bytes, as all below */
	int64_t anon;
	int64_t file; /* v1: with shared memory */
	int64_t swap;
	int64_t file_lru;  /* files that can be read again: inactive and active */
	int64_t swap_room; /* of the host, or of the cgroup where that is less; 0 = none */
};

/* What could be taken: files, and with swap anonymous memory that fits into it. Pure. */
int64_t reclaim_possible(const struct reclaim_figures *f);
/* -EPERM with the reason: less than a tenth of what is asked, or than 1 MiB, could be taken. Pure.
 */
int reclaim_check(const struct reclaim_figures *f, int64_t bytes, struct error *err) must_use;
void reclaim_run(const struct process *p, const struct action_order *o, struct command_result *r);

#endif
