/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup_mount.h - where the memory cgroups of this host are mounted, told by mountinfo instead of
 * guessed: v2 alone, v1, both at once (hybrid: memory belongs to v1 then), or none. Pure but for
 * cgroup_mount_find().
 */
#ifndef MEMHERD_AGENT_SENSE_CGROUP_MOUNT_H
#define MEMHERD_AGENT_SENSE_CGROUP_MOUNT_H

#include <stddef.h>

#include "agent/sense/procfs.h"
#include "common/check.h"

#define CGROUP_MOUNT_MAX 256u

enum cgroup_version { CGROUP_NO_VERSION = 0, CGROUP_V1 = 1, CGROUP_V2 = 2 };

struct cgroup_mount {
	enum cgroup_version version;
	char path[CGROUP_MOUNT_MAX]; /* of the mount point */
	char root[CGROUP_MOUNT_MAX]; /* which folder of the hierarchy is mounted there: "/" */
};

/* mountinfo: proc_pid_mountinfo(5), possibly cut; a line without its end is not believed. */
void cgroup_mount_parse(const char *mountinfo, size_t len, struct cgroup_mount *ret);
/* Reads path (/proc/self/mountinfo); CGROUP_NO_VERSION when it cannot be read. */
void cgroup_mount_find(const char *path, struct cgroup_mount *ret);

/* The part of a process's cgroup path below the mount ("" for the mounted root itself), or NULL
 * when its cgroup cannot be seen from here, or the path was cut. */
const char *cgroup_mount_below(const struct cgroup_mount *m, const struct procfs_cgroup *paths);

#endif
