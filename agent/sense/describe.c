/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/describe.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "agent/sense/container_file.h"
#include "agent/sense/mask.h"
#include "agent/sense/service.h"
#include "common/str.h"

uint32_t describe_comm_hash(const struct procfs_stat *st)
{
	return (uint32_t)XXH3_64bits(st->comm, st->comm_len);
}

static int describe_stat(const struct procdir *d, uint32_t pid, struct description *out)
{
	char buf[1024];
	struct procfs_stat st;
	int n = procdir_read(d, pid, "stat", buf, sizeof(buf));
	int r;

	if (n < 0)
		return n;
	r = procfs_parse_stat(buf, (size_t)n, &st);
	if (r < 0)
		return r;
	out->ppid = st.ppid;
	out->start_ticks = st.start_ticks;
	out->comm_hash = describe_comm_hash(&st);
	str_safe(out->comm, sizeof(out->comm), st.comm, st.comm_len);
	return 0;
}

static int describe_uid(const struct procdir *d, uint32_t pid, struct description *out)
{
	int64_t v[PROCFS_STATUS_COUNT];
	char buf[4096];
	int n = procdir_read(d, pid, "status", buf, sizeof(buf));

	if (n < 0)
		return n;
	procfs_parse_status(buf, (size_t)n, v);
	if (v[PROCFS_UID] >= 0 && v[PROCFS_UID] <= UINT32_MAX)
		out->uid = (uint32_t)v[PROCFS_UID];
	return 0;
}

static uint16_t short_hash(const void *s, size_t len)
{
	return (uint16_t)XXH3_64bits(s, len);
}

int describe_cgroup_hash(const struct procdir *d, uint32_t pid, uint16_t *ret)
{
	char buf[4096];
	int n = procdir_read_all(d, pid, "cgroup", buf, sizeof(buf));

	if (n < 0)
		return n;
	*ret = short_hash(buf, (size_t)n);
	return 0;
}

static int describe_cgroup(const struct procdir *d, uint32_t pid, struct description *out)
{
	char buf[4096];
	const char *path;
	int n = procdir_read_all(d, pid, "cgroup", buf, sizeof(buf));

	if (n < 0)
		return n;
	out->moved = short_hash(buf, (size_t)n);
	procfs_parse_cgroup(buf, (size_t)n, &out->paths);
	path = procfs_cgroup_path(&out->paths);
	str_safe(out->cgroup, sizeof(out->cgroup), path, strlen(path));
	out->contained = container_of_cgroup(&out->paths, &out->in_container);
	if (out->contained)
		container_short(out->container, sizeof(out->container), &out->in_container);
	return 0;
}

static void describe_service(struct description *out, const struct program *program)
{
	const struct service_hint hint = {
		.cgroup = &out->paths,
		.container = out->contained ? &out->in_container : NULL,
		.container_name = out->container_service[0] ? out->container_service : NULL,
		.program = *program,
		.comm = out->comm,
	};
	char entry[WIRE_NAME_MAX + 1];

	if (!program_name(entry, sizeof(entry), program))
		str_copy(entry, sizeof(entry), out->comm);
	out->entry = short_hash(entry, strlen(entry));
	out->role = program_role(program);
	out->kin = program_kin(program);
	service_name(out->service, sizeof(out->service), &hint);
}

/* exe, cmdline, and the service that they and the cgroup tell. */
static int describe_program(const struct procdir *d, uint32_t pid, struct description *out)
{
	char exe[1024];
	char args[MASK_INPUT_MAX + 1];
	int n = procdir_readlink(d, pid, "exe", exe, sizeof(exe));

	/* Without CAP_SYS_PTRACE another user's exe may not be read; the rest may. */
	if (n < 0)
		exe[n = 0] = '\0';
	str_safe(out->exe, sizeof(out->exe), exe, (size_t)n);
	n = procdir_read_all(d, pid, "cmdline", args, sizeof(args));
	if (procdir_gone(n))
		return n;
	n = MAX_OF(n, 0);
	mask_cmdline(out->cmdline, sizeof(out->cmdline), args, (size_t)n);
	describe_service(out, &(struct program){exe, args, (size_t)n});
	out->program = (uint32_t)XXH3_64bits(args, (size_t)n) ^
		       (uint32_t)XXH3_64bits(exe, strlen(exe)) ^ out->comm_hash;
	return 0;
}

/* What the container is called, if that is known or can be read inside it. */
static void describe_container(const struct procdir *d, uint32_t pid, struct containers *known,
			       int64_t now_us, struct description *out)
{
	struct known_container *k = containers_meet(known, &out->in_container, now_us);
	char name[WIRE_NAME_MAX + 1];
	char service[WIRE_NAME_MAX + 1];

	if (!k)
		return;
	if (!k->looked &&
	    container_file_name(d, pid, &out->in_container, name, service, sizeof(name)))
		containers_told_inside(k, name, service);
	k->looked = true;
	if (k->name)
		str_safe(out->container, sizeof(out->container), k->name, strlen(k->name));
	str_copy(out->container_service, sizeof(out->container_service), containers_service(k));
}

int describe_named(const struct procdir *d, uint32_t pid, struct containers *known, int64_t now_us,
		   struct description *ret)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	r = describe_stat(d, pid, ret);
	if (r == 0)
		r = describe_uid(d, pid, ret);
	if (r < 0)
		return r;
	r = describe_cgroup(d, pid, ret);
	if (procdir_gone(r))
		return r;
	if (known && ret->contained)
		describe_container(d, pid, known, now_us, ret);
	return describe_program(d, pid, ret);
}

int describe_process(const struct procdir *d, uint32_t pid, struct description *ret)
{
	return describe_named(d, pid, NULL, 0, ret);
}
