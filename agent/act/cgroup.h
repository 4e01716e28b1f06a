/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.h - the memory cgroup that a process is in, and whether memherd may change it: a leaf of
 * its own (a unit, a container), never a slice, the root, or one that memherd itself lives in. Of
 * v1 and v2.
 */
#ifndef MEMHERD_AGENT_ACT_CGROUP_H
#define MEMHERD_AGENT_ACT_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

#define CGROUP_PATH_SIZE 2048

struct cgroup_place {
	bool v2;
	char path[CGROUP_PATH_SIZE];   /* as /proc/PID/cgroup says: '/system.slice/web.service' */
	char folder[CGROUP_PATH_SIZE]; /* where it is mounted */
};

struct cgroup_figures {
	int64_t usage;       /* bytes, as all below */
	int64_t working_set; /* usage without what the kernel would give back first */
	int64_t anon;
	int64_t swap_room; /* of the host, or of the cgroup where that is less */
};

/* -ENOENT: no memory controller holds it. */
int cgroup_of(pid_t pid, struct cgroup_place *ret, struct error *err) must_use;
/* -EPERM: not one of its own. self: the path of ours, '' = not known. Pure but for the children. */
int cgroup_check_own(const struct cgroup_place *c, const char *self, struct error *err) must_use;
int cgroup_figures(const struct cgroup_place *c, struct cgroup_figures *ret,
		   struct error *err) must_use;
/* Free swap of the host in bytes; 0 = none. */
int64_t cgroup_host_swap(void);
/* A number of one of its files; INT64_MAX for 'max' and v1's largest. -ENOENT. */
int cgroup_number(const char *folder, const char *file, int64_t *ret) must_use;
/* The number behind a word at a line's begin of one of its files: 'high' of memory.events. 'full'
 * of memory.pressure gives total=, microseconds. -1: it does not stand there. */
int64_t cgroup_word(const char *folder, const char *file, const char *word);
/* INT64_MAX: no limit. */
int cgroup_set(const char *folder, const char *file, int64_t value, struct error *err) must_use;

#endif
