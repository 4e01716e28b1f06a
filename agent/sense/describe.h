/* SPDX-License-Identifier: Apache-2.0 */
/*
 * describe.h - who a process is, in strings that are bounded, printable and free of secrets: what
 * is read once at birth and again when it became another program.
 */
#ifndef MEMHERD_AGENT_SENSE_DESCRIBE_H
#define MEMHERD_AGENT_SENSE_DESCRIBE_H

#include "agent/python/program.h"
#include "agent/sense/containers.h"
#include "agent/sense/procdir.h"
#include "agent/sense/procfs.h"
#include "proto/wire.h"

struct description {
	uint32_t ppid;
	uint32_t uid;
	uint64_t start_ticks;
	uint32_t program;     /* hash of comm, exe and cmdline: changes with exec */
	uint16_t entry;       /* hash of program_name(): the same for a master and its workers */
	uint16_t moved;       /* describe_cgroup_hash() */
	enum wire_role role;  /* as its title says */
	enum program_kin kin; /* to its parent */
	bool contained;       /* in_container holds */
	uint32_t comm_hash;   /* as the sampler keeps it: of stat's raw name */
	char comm[WIRE_COMM_MAX + 1];
	char cmdline[WIRE_CMDLINE_MAX + 1];
	char exe[WIRE_PATH_MAX + 1]; /* "" when it may not be read */
	char cgroup[WIRE_PATH_MAX + 1];
	char service[WIRE_NAME_MAX + 1];
	char container[WIRE_NAME_MAX + 1]; /* its name, else its short id; "" = none */
	struct container in_container;
	char container_service[WIRE_NAME_MAX + 1]; /* what the container's service is called */
	struct procfs_cgroup paths;
};

/* What tells two raw names apart. */
uint32_t describe_comm_hash(const struct procfs_stat *st);
/* What tells a move to another cgroup: of the whole file's bytes. -errno as describe_process(). */
int describe_cgroup_hash(const struct procdir *d, uint32_t pid, uint16_t *ret) must_use;
/* -ENOENT or -ESRCH when the process is gone (also half way), -EBADMSG for a stat that is none. */
int describe_process(const struct procdir *d, uint32_t pid, struct description *ret) must_use;
/* The same with what is known of containers, where a new one is noted and looked into once. */
int describe_named(const struct procdir *d, uint32_t pid, struct containers *known, int64_t now_us,
		   struct description *ret) must_use;

#endif
