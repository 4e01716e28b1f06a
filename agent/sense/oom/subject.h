/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subject.h - a process that ended, as the ring and the cgroup tree knew it: copied while they
 * still do. Belongs to oom.c.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_SUBJECT_H
#define MEMHERD_AGENT_SENSE_OOM_SUBJECT_H

#include "agent/sense/oom/deaths.h"
#include "agent/sense/oom/oom.h"

/* round_us: when the tree's counters were read. Where it may have been a kill its cgroup's counter
 * is read anew: the cgroup may be gone when the verdict is due. */
void subject_describe(const struct oom_config *cfg, uint32_t pid, const struct oom_process *p,
		      struct verdict_exit exit, int64_t round_us, struct death *ret);

#endif
