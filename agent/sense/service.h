/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.h - which service a process belongs to: a name that stays over restarts and is the
 * same for all its workers.
 *
 * The first of: the systemd unit or container that its cgroup names ('nginx.service' gives
 * 'nginx', 'docker:0123456789ab', 'k8s:...', 'lxc:web'); what a Python interpreter runs
 * ('python:app.py', 'python:-m http.server', 'gunicorn:shop.wsgi'); the program's file name;
 * its comm. Login sessions and user managers are no services. Pure.
 */
#ifndef MEMHERD_AGENT_SENSE_SERVICE_H
#define MEMHERD_AGENT_SENSE_SERVICE_H

#include "agent/sense/procfs.h"

struct service_hint {
	const struct procfs_cgroup *cgroup;
	const char *exe;     /* path, "" = not readable (then argv[0] is used) */
	const char *cmdline; /* as /proc gives it: arguments that end with NUL */
	size_t cmdline_len;
	const char *comm; /* safe already */
};

/* out is printable (str_safe) and never empty; size at least 32. */
void service_name(char *out, size_t size, const struct service_hint *hint);
/* 'docker:0123456789ab' and the like alone; false when the cgroup names no container. */
bool service_container(char *out, size_t size, const struct procfs_cgroup *cgroup);

#endif
