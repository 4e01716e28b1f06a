/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup_limit.h - how much memory a process's cgroup may have: the smallest limit among its cgroup
 * and all ancestors, under cgroup v2 (memory.max) and v1 (memory.limit_in_bytes).
 */
#ifndef MEMHERD_AGENT_SENSE_CGROUP_LIMIT_H
#define MEMHERD_AGENT_SENSE_CGROUP_LIMIT_H

#include "agent/sense/procfs.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

/*
 * root: where the hierarchies are mounted (a folder that looks so, in tests). The limit in bytes;
 * -ENODATA when none of them sets one, -ENOENT when no memory cgroup of the process can be found
 * (for a path that is seen from another cgroup namespace what is mounted here is asked instead).
 */
int cgroup_limit(const char *root, const struct procfs_cgroup *paths, int64_t *ret) must_use;

#endif
