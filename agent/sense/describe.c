/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/describe.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

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

static int describe_cgroup(const struct procdir *d, uint32_t pid, struct description *out)
{
	char buf[4096];
	const char *path;
	int n = procdir_read_all(d, pid, "cgroup", buf, sizeof(buf));

	if (n < 0)
		return n;
	procfs_parse_cgroup(buf, (size_t)n, &out->paths);
	path = procfs_cgroup_path(&out->paths);
	str_safe(out->cgroup, sizeof(out->cgroup), path, strlen(path));
	(void)service_container(out->container, sizeof(out->container), &out->paths);
	return 0;
}

/* exe, cmdline, and the service that they and the cgroup tell. */
static int describe_program(const struct procdir *d, uint32_t pid, struct description *out)
{
	char exe[1024];
	char args[MASK_INPUT_MAX + 1];
	struct service_hint hint = {.cgroup = &out->paths, .exe = exe, .comm = out->comm};
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
	hint.cmdline = args;
	hint.cmdline_len = (size_t)n;
	service_name(out->service, sizeof(out->service), &hint);
	out->program = (uint32_t)XXH3_64bits(args, (size_t)n) ^
		       (uint32_t)XXH3_64bits(exe, strlen(exe)) ^ out->comm_hash;
	return 0;
}

int describe_process(const struct procdir *d, uint32_t pid, struct description *ret)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	r = describe_stat(d, pid, ret);
	if (r == 0)
		r = describe_uid(d, pid, ret);
	if (r < 0)
		return r;
	r = describe_cgroup(d, pid, ret);
	return procdir_gone(r) ? r : describe_program(d, pid, ret);
}
