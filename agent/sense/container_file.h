/* SPDX-License-Identifier: Apache-2.0 */
/*
 * container_file.h - what a container says of itself in files inside it, readable without its
 * engine: Podman's /run/.containerenv, and /etc/hostname where that is a name (a Kubernetes pod's).
 *
 * The files are the container's own, which may be hostile: no link is followed, nothing but a
 * regular file is opened, 4 KiB are read at most, and nothing is opened on a file system that
 * somebody may answer for as slowly as he likes (FUSE, NFS): /proc/PID/mountinfo is asked first.
 * What remains: who mounts one between the two can make us wait.
 */
#ifndef MEMHERD_AGENT_SENSE_CONTAINER_FILE_H
#define MEMHERD_AGENT_SENSE_CONTAINER_FILE_H

#include "agent/sense/container.h"
#include "agent/sense/procdir.h"

/* -EXDEV for a path on a file system that is not trusted, -ELOOP for links, -EINVAL for what is no
 * regular file, or another -errno. The length of what was read, NUL-terminated. path begins with
 * '/'. */
int container_file_read(const struct procdir *d, uint32_t pid, const char *path, char *buf,
			size_t size) must_use;
/* Pure: may path be opened in a process with that mountinfo (proc_pid_mountinfo(5))? */
bool container_file_is_local(const char *mountinfo, const char *path);
/* Pure: of /run/.containerenv: name="web" where id="..." is that container's. */
bool container_file_podman(const char *text, const char *id, char *name, size_t size);
/* Pure: of /etc/hostname, unless it only repeats the id or the host's own name. */
bool container_file_hostname(const char *text, const char *id, const char *own, char *name,
			     size_t size);
/* Pure: what a pod's replicas share: 'shop-7d9f8c6b5-x2x4z' and 'shop-1' give 'shop'. */
void container_file_workload(char *out, size_t size, const char *pod);

/* The name that the container of process pid gives itself, and its service's. */
bool container_file_name(const struct procdir *d, uint32_t pid, const struct container *c,
			 char *name, char *service, size_t size);

#endif
