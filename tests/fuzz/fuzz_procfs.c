/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that judges bytes of /proc, on the same bytes. */
#include <string.h>

#include "agent/sense/allocator.h"
#include "agent/sense/mask.h"
#include "agent/sense/procfs.h"
#include "agent/sense/service.h"
#include "common/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *s, size_t limit)
{
	if (strlen(s) >= limit || !str_is_safe(s, strlen(s)))
		abort();
}

static void check_name(const struct service_hint *hint)
{
	char out[256];

	service_name(out, sizeof(out), hint);
	check_text(out, sizeof(out));
	if (!*out)
		abort();
}

static void check_names(const char *s, size_t len)
{
	struct procfs_cgroup cg;
	struct container c;
	struct service_hint hint = {
		.cgroup = &cg,
		.program = {.exe = "", .cmdline = s, .cmdline_len = len},
		.comm = "c",
	};
	char out[256];

	procfs_parse_cgroup(s, len, &cg);
	(void)procfs_cgroup_path(&cg);
	if (container_of_cgroup(&cg, &c)) {
		container_label(out, sizeof(out), &c);
		check_text(out, sizeof(out));
		hint.container = &c;
	}
	check_name(&hint);
	hint.program.exe = "/usr/bin/python3";
	check_name(&hint);
	hint.container_name = "web";
	check_name(&hint);
	if (!wire_role_word(program_role(&hint.program)))
		abort();
	(void)program_kin(&hint.program);
	mask_cmdline(out, sizeof(out), s, len);
	check_text(out, sizeof(out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data;
	struct procfs_statm statm;
	struct procfs_stat stat;
	int64_t status[PROCFS_STATUS_COUNT];
	int64_t rollup[PROCFS_ROLLUP_COUNT];
	int64_t host[HOST_METRIC_COUNT];
	int64_t limit;
	char libc[32];

	(void)!procfs_parse_statm(s, size, &statm);
	if (procfs_parse_stat(s, size, &stat) == 0 &&
	    (stat.comm < s || stat.comm + stat.comm_len > s + size))
		abort();
	(void)!procfs_parse_limit(s, size, &limit);
	procfs_parse_status(s, size, status);
	procfs_parse_rollup(s, size, rollup);
	procfs_parse_meminfo(s, size, host);
	for (int i = 0; i < HOST_METRIC_COUNT; i++)
		if (host[i] != METRIC_ABSENT && (host[i] < 0 || host[i] > (int64_t)1 << 53))
			abort();
	if (allocator_name(libc, sizeof(libc), s, size))
		check_text(libc, sizeof(libc));
	check_names(s, size);
	return 0;
}
