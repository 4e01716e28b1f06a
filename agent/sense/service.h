/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.h - which service a process belongs to: a name that stays over restarts and is the
 * same for all its workers.
 *
 * The first of:
 *  - the container that its cgroup names: the name that its engine gave (compose: 'shop_web'), else
 *    'docker:0123456789ab', 'k8s:...', 'lxc:web'; with the unit where systemd runs inside:
 *    'lxc:web/nginx';
 *  - the systemd unit, of the system or of a user: 'nginx.service' gives 'nginx'. An instance of a
 *    template is a service of its own, 'shop@1': it is limited, restarted and killed alone. Scopes
 *    name no service: sessions are people, transient ones have random names;
 *  - what it runs (program.h), also for the children of a launcher's unit (supervisord), which are
 *    services in their own right;
 *  - its comm. Pure.
 */
#ifndef MEMHERD_AGENT_SENSE_SERVICE_H
#define MEMHERD_AGENT_SENSE_SERVICE_H

#include "agent/python/program.h"
#include "agent/sense/container.h"
#include "agent/sense/procfs.h"

struct service_hint {
	const struct procfs_cgroup *cgroup;
	const struct container *container; /* NULL = none */
	const char *container_name;        /* what its service is called, NULL = not known */
	struct program program;
	const char *comm; /* safe already */
};

/* out is printable (str_safe) and never empty; size at least 32. */
void service_name(char *out, size_t size, const struct service_hint *hint);
/* What a cgroup is by its path alone: the container or unit that it belongs to ('' = none) and who
 * made it ('docker', 'systemd'; '' = not known). */
void service_of_cgroup(char *out, size_t size, const char *path, const char **ret_runtime);

#endif
