/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says of the host and of cgroups, on the same bytes. */
#include <string.h>

#include "agent/sense/cgroup_stat.h"
#include "agent/sense/hoststat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const int64_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (v[i] != METRIC_ABSENT && (v[i] < 0 || v[i] > (int64_t)1 << 53))
			abort();
}

static void check_cgroup(const char *s, size_t size)
{
	int64_t v[CGROUP_FIGURE_COUNT];
	struct procfs_cgroup paths;
	struct cgroup_mount m;

	for (unsigned i = 0; i < CGROUP_FIGURE_COUNT; i++)
		v[i] = METRIC_ABSENT;
	cgroup_stat_parse_stat(CGROUP_V1, s, size, v);
	cgroup_stat_parse_stat(CGROUP_V2, s, size, v);
	cgroup_stat_parse_events(s, size, v);
	cgroup_stat_parse_events_local(s, size, v);
	cgroup_stat_parse_oom_control(s, size, v);
	check(v, CGROUP_FIGURE_COUNT);
	cgroup_mount_parse(s, size, &m);
	if (strnlen(m.path, sizeof(m.path)) == sizeof(m.path) ||
	    strnlen(m.root, sizeof(m.root)) == sizeof(m.root))
		abort();
	procfs_parse_cgroup(s, size, &paths);
	(void)!cgroup_mount_below(&m, &paths);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data;
	struct pressure p;
	struct hoststat h;

	hoststat_clear(&h);
	hoststat_parse_vmstat(s, size, &h);
	hoststat_parse_pressure(s, size, &h);
	hoststat_parse_swaps(s, size, &h);
	hoststat_parse_zram(s, size, &h);
	hoststat_parse_meminfo(s, size, &h);
	check((const int64_t *)&h, sizeof(h) / sizeof(int64_t));
	pressure_parse(s, size, &p);
	check((const int64_t *)&p, sizeof(p) / sizeof(int64_t));
	check_cgroup(s, size);
	return 0;
}
