/* SPDX-License-Identifier: Apache-2.0 */
/*
 * container.h - which container a cgroup's path names, in the forms that the engines and their
 * drivers give it, on cgroup v1 and v2.
 *
 * Docker, containerd and nerdctl, CRI-O, Podman (also below a unit, as Quadlet runs it), Kubernetes
 * (driver systemd and cgroupfs, with the pod's uid), LXC, systemd-nspawn and machined. The
 * innermost one counts: a container in a container belongs to itself. Pure; paths are hostile.
 */
#ifndef MEMHERD_AGENT_SENSE_CONTAINER_H
#define MEMHERD_AGENT_SENSE_CONTAINER_H

#include <stdbool.h>

#include "agent/sense/procfs.h"

#define CONTAINER_ID_LEN   64 /* hex digits, as every engine of the OCI kind makes them */
#define CONTAINER_NAME_MAX 128
#define CONTAINER_POD_LEN  36

struct container {
	const char *runtime;               /* "docker", "podman", ..., a literal; never NULL */
	char id[CONTAINER_ID_LEN + 1];     /* "" = the engine names it itself: LXC, machined */
	char name[CONTAINER_NAME_MAX + 1]; /* safe; of LXC and machined, else "" */
	char pod[CONTAINER_POD_LEN + 1];   /* Kubernetes' uid of the pod, with dashes; "" = none */
	const char *inside;                /* what follows it in the path that was given */
	bool of_unit; /* a unit's own container (Podman's split mode): the unit is its name */
};

/* False when no hierarchy names a container. ret->inside points into cgroup. */
bool container_of_cgroup(const struct procfs_cgroup *cgroup, struct container *ret);
/* 'docker:0123456789ab', 'k8s:...', 'lxc:web': what it is called until its name is known. */
void container_label(char *out, size_t size, const struct container *c);
/* The short id as the engines print it, or the name of one that has no id. */
void container_short(char *out, size_t size, const struct container *c);

#endif
