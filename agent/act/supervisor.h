/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor.h - who starts a process again when it ends, as its cgroup says: a unit of systemd, a
 * container engine, or nobody that is known. Only PID 1 and root put processes into the cgroups
 * that are believed here; what a user's own manager made is not. Pure; paths are hostile.
 */
#ifndef MEMHERD_AGENT_ACT_SUPERVISOR_H
#define MEMHERD_AGENT_ACT_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>

#define SUPERVISOR_NAME_SIZE 256
#define CONTAINER_ID_LEN     64 /* hex digits, as Docker and Podman make them */

enum supervisor_kind {
	SUPERVISOR_BARE,   /* nobody that is known */
	SUPERVISOR_PARENT, /* its parent lives and is more than a shell: the master of a worker */
	SUPERVISOR_UNIT,   /* systemd: name is the unit's */
	SUPERVISOR_CONTAINER, /* Docker or Podman: name is the container's id */
	SUPERVISOR_OTHER,     /* somebody whom memherd cannot ask: name says who */
};

struct supervisor {
	enum supervisor_kind kind;
	char name[SUPERVISOR_NAME_SIZE]; /* "" for BARE and PARENT */
};

/* Of a path as /proc/PID/cgroup gives it. Never PARENT: a path does not tell. */
void supervisor_of_cgroup(const char *path, struct supervisor *ret);
/* Is a parent of this name one that starts its children again? Shells and the like do not. */
bool supervisor_is_master(const char *comm);

#endif
