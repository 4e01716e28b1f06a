/* SPDX-License-Identifier: Apache-2.0 */
/*
 * successor.h - who took a process's place after a restart: a process of the same program in the
 * same cgroup that began after it was asked for.
 */
#ifndef MEMHERD_AGENT_ACT_SUCCESSOR_H
#define MEMHERD_AGENT_ACT_SUCCESSOR_H

#include "agent/act/process.h"

struct successor {
	pid_t pid;
	struct process_memory memory;
};

/* This moment in the units of process.start_ticks: whoever began later began here or after. */
uint64_t successor_now(void);
/*
 * The largest of those who began at or after since; parent: only its children, 0 = anybody's.
 * Waits for the first one until until_us (clock_boot_us()), and then settle_us for it to load what
 * it needs. -ENOENT: nobody came.
 */
int successor_wait(const struct process *before, uint64_t since, pid_t parent, int64_t until_us,
		   int64_t settle_us, struct successor *ret) must_use;

#endif
