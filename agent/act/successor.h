/* SPDX-License-Identifier: Apache-2.0 */
/*
 * successor.h - who took a process's place after a restart: a process of the same program in the
 * same cgroup that began after it was asked for. A worker's is a child of the same parent. A bare
 * process's has its user and its arguments too: its cgroup may hold all that a user does.
 */
#ifndef MEMHERD_AGENT_ACT_SUCCESSOR_H
#define MEMHERD_AGENT_ACT_SUCCESSOR_H

#include "agent/act/process.h"

struct successor {
	pid_t pid;
	struct process_memory memory;
};

#define SUCCESSOR_ARGUMENTS 1024 /* what is behind is not compared */

/* Who is looked for. */
struct successor_like {
	const struct process *before;
	pid_t parent;   /* whose child it is, 0 = anybody's */
	pid_t only;     /* nobody but this one, 0 = whoever fits */
	bool same_line; /* its user and its arguments count */
	uint64_t since; /* in ticks as process.start_ticks: whoever comes later began here or after
			 */
	size_t len;     /* of its arguments, where they count */
	char arguments[SUCCESSOR_ARGUMENTS];
};

/* While the process that is to be replaced is still there. sibling: its place is taken by another
 * child of its parent. */
void successor_expect(struct successor_like *l, const struct process *before, bool sibling);
/*
 * The largest of them. Waits for the first one until until_us (clock_boot_us()), and then settle_us
 * for it to load what it needs. -ENOENT: nobody came.
 */
int successor_wait(const struct successor_like *l, int64_t until_us, int64_t settle_us,
		   struct successor *ret) must_use;

#endif
