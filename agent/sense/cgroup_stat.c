/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/cgroup_stat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* memory.stat of Linux 6.18 has some 1.6 KiB; v1 with hierarchies 1.5 KiB. */
#define STAT_SIZE 8192u
#define PATH_SIZE (PROCFS_PATH_MAX + 64)

const char *cgroup_figure_name(enum cgroup_figure f)
{
	static const char *const names[CGROUP_FIGURE_COUNT] = {
#define X(NAME, name) #name,
		CGROUP_FIGURE_LIST(X)
#undef X
	};

	return names[f];
}

/* ---- pure ---- */

static int64_t to_kib(int64_t bytes)
{
	return bytes == METRIC_ABSENT ? bytes : bytes / 1024;
}

static void clear(int64_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i] = METRIC_ABSENT;
}

int64_t cgroup_stat_working_set(int64_t usage, int64_t inactive_file)
{
	if (usage == METRIC_ABSENT || inactive_file == METRIC_ABSENT)
		return METRIC_ABSENT;
	return MAX_OF(usage - inactive_file, (int64_t)0);
}

/* The lines of memory.stat; of v2's kernel parts the sum is taken where 'kernel' is not there. */
enum stat_line { S_ANON, S_FILE, S_SHMEM, S_INACTIVE, S_KERNEL, S_PARTS, S_SWAP, S_HIER, S_COUNT };

static const struct keyed_row stat_v2[] = {
	KEYED_ROW("anon", S_ANON),        KEYED_ROW("file", S_FILE),
	KEYED_ROW("shmem", S_SHMEM),      KEYED_ROW("inactive_file", S_INACTIVE),
	KEYED_ROW("kernel", S_KERNEL),    KEYED_ROW("kernel_stack", S_PARTS),
	KEYED_ROW("pagetables", S_PARTS), KEYED_ROW("sec_pagetables", S_PARTS),
	KEYED_ROW("percpu", S_PARTS),     KEYED_ROW("slab", S_PARTS),
};

static const struct keyed_row stat_v1[] = {
	KEYED_ROW("total_rss", S_ANON),
	KEYED_ROW("total_cache", S_FILE),
	KEYED_ROW("total_shmem", S_SHMEM),
	KEYED_ROW("total_inactive_file", S_INACTIVE),
	KEYED_ROW("total_swap", S_SWAP),
	/* without one a number near 2^63 stands there, which keyed_parse() does not take */
	KEYED_ROW("hierarchical_memory_limit", S_HIER),
};

void cgroup_stat_parse_stat(enum cgroup_version version, const char *s, size_t len, int64_t *v)
{
	int64_t line[S_COUNT];

	clear(line, S_COUNT);
	if (version == CGROUP_V2) {
		keyed_parse(s, len, stat_v2, ARRAY_SIZE(stat_v2), line);
		v[CGROUP_KERNEL] =
			to_kib(line[S_KERNEL] != METRIC_ABSENT ? line[S_KERNEL] : line[S_PARTS]);
	} else {
		keyed_parse(s, len, stat_v1, ARRAY_SIZE(stat_v1), line);
		v[CGROUP_SWAP] = to_kib(line[S_SWAP]);
		v[CGROUP_HIER_LIMIT] = to_kib(line[S_HIER]);
	}
	v[CGROUP_ANON] = to_kib(line[S_ANON]);
	v[CGROUP_FILE] = to_kib(line[S_FILE]);
	v[CGROUP_SHMEM] = to_kib(line[S_SHMEM]);
	v[CGROUP_INACTIVE_FILE] = to_kib(line[S_INACTIVE]);
}

/* Parses anew: what the file does not tell any more is absent. */
static void parse_into(const char *s, size_t len, const struct keyed_row *rows, size_t n,
		       int64_t *v)
{
	for (size_t i = 0; i < n; i++)
		v[rows[i].index] = METRIC_ABSENT;
	keyed_parse(s, len, rows, n, v);
}

void cgroup_stat_parse_events(const char *s, size_t len, int64_t *v)
{
	static const struct keyed_row rows[] = {
		KEYED_ROW("low", CGROUP_EV_LOW),
		KEYED_ROW("high", CGROUP_EV_HIGH),
		KEYED_ROW("max", CGROUP_EV_MAX),
		KEYED_ROW("oom", CGROUP_EV_OOM),
		KEYED_ROW("oom_kill", CGROUP_EV_OOM_KILL),
		KEYED_ROW("oom_group_kill", CGROUP_EV_GROUP_KILL),
	};

	parse_into(s, len, rows, ARRAY_SIZE(rows), v);
}

void cgroup_stat_parse_events_local(const char *s, size_t len, int64_t *v)
{
	static const struct keyed_row rows[] = {
		KEYED_ROW("oom", CGROUP_OWN_OOM),
		KEYED_ROW("oom_kill", CGROUP_OWN_OOM_KILL),
	};

	parse_into(s, len, rows, ARRAY_SIZE(rows), v);
}

void cgroup_stat_parse_oom_control(const char *s, size_t len, int64_t *v)
{
	static const struct keyed_row rows[] = {
		KEYED_ROW("under_oom", CGROUP_UNDER_OOM),
		KEYED_ROW("oom_kill", CGROUP_EV_OOM_KILL),
	};

	parse_into(s, len, rows, ARRAY_SIZE(rows), v);
	v[CGROUP_OWN_OOM_KILL] = v[CGROUP_EV_OOM_KILL];
}

/* ---- reading ---- */

struct folder {
	int dirfd;
	const char *path;
};

static int read_file(struct folder f, const char *name, char *buf, size_t size)
{
	char path[PATH_SIZE];
	auto_close int fd = -1;
	ssize_t n;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", f.path, name) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = openat(f.dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return (int)n;
}

/* KiB, or METRIC_ABSENT: not there, 'max', or not to be read. */
static int64_t read_kib(struct folder f, const char *name)
{
	char text[64];
	int64_t v;
	int n = read_file(f, name, text, sizeof(text));

	if (n < 0 || procfs_parse_limit(text, (size_t)n, &v) < 0)
		return METRIC_ABSENT;
	return v / 1024;
}

static void read_stat(struct folder f, enum cgroup_version version, int64_t *v)
{
	char buf[STAT_SIZE];
	int n = read_file(f, "memory.stat", buf, sizeof(buf));

	cgroup_stat_parse_stat(version, buf, n < 0 ? 0 : (size_t)n, v);
	v[CGROUP_WORKING_SET] = cgroup_stat_working_set(v[CGROUP_USAGE], v[CGROUP_INACTIVE_FILE]);
}

static void read_pressure(struct folder f, int64_t *v)
{
	char buf[256];
	struct pressure p;
	int n = read_file(f, "memory.pressure", buf, sizeof(buf));

	pressure_parse(buf, n < 0 ? 0 : (size_t)n, &p);
	v[CGROUP_PSI_SOME] = p.some_avg10;
	v[CGROUP_PSI_FULL] = p.full_avg10;
	v[CGROUP_PSI_SOME_TOTAL] = p.some_total;
	v[CGROUP_PSI_FULL_TOTAL] = p.full_total;
}

static void read_events_v2(struct folder f, bool first, int64_t *v)
{
	char buf[512];
	int64_t oom = v[CGROUP_EV_OOM];
	int64_t kills = v[CGROUP_EV_OOM_KILL];
	int n = read_file(f, "memory.events", buf, sizeof(buf));

	cgroup_stat_parse_events(buf, n < 0 ? 0 : (size_t)n, v);
	/* the local file can only have moved with this one */
	if (!first && v[CGROUP_EV_OOM] == oom && v[CGROUP_EV_OOM_KILL] == kills)
		return;
	n = read_file(f, "memory.events.local", buf, sizeof(buf));
	cgroup_stat_parse_events_local(buf, n < 0 ? 0 : (size_t)n, v);
}

static void read_events_v1(struct folder f, int64_t *v)
{
	char buf[128];
	int64_t failcnt;
	int n = read_file(f, "memory.oom_control", buf, sizeof(buf));

	cgroup_stat_parse_oom_control(buf, n < 0 ? 0 : (size_t)n, v);
	n = read_file(f, "memory.failcnt", buf, sizeof(buf));
	v[CGROUP_EV_MAX] = METRIC_ABSENT;
	if (n > 0 && procfs_parse_limit(buf, (size_t)n, &failcnt) == 0)
		v[CGROUP_EV_MAX] = failcnt;
}

static int64_t less(int64_t a, int64_t b)
{
	return a == METRIC_ABSENT || b == METRIC_ABSENT ? METRIC_ABSENT : MAX_OF(a - b, (int64_t)0);
}

int64_t cgroup_stat_limit(int dirfd, const char *path, enum cgroup_version version)
{
	return read_kib((struct folder){dirfd, path},
			version == CGROUP_V2 ? "memory.max" : "memory.limit_in_bytes");
}

static void read_limits(struct folder f, enum cgroup_version version, int64_t *v)
{
	v[CGROUP_LIMIT] = cgroup_stat_limit(f.dirfd, f.path, version);
	if (version == CGROUP_V2) {
		v[CGROUP_HIGH] = read_kib(f, "memory.high");
		v[CGROUP_SWAP_LIMIT] = read_kib(f, "memory.swap.max");
		return;
	}
	v[CGROUP_SWAP_LIMIT] = less(read_kib(f, "memory.memsw.limit_in_bytes"), v[CGROUP_LIMIT]);
}

static void read_heavy(struct folder f, enum cgroup_version version, int64_t *v)
{
	read_stat(f, version, v);
	if (version == CGROUP_V2) {
		v[CGROUP_SWAP] = read_kib(f, "memory.swap.current");
		read_pressure(f, v);
		return;
	}
	v[CGROUP_KERNEL] = read_kib(f, "memory.kmem.usage_in_bytes");
	if (v[CGROUP_SWAP] == METRIC_ABSENT)
		v[CGROUP_SWAP] = less(read_kib(f, "memory.memsw.usage_in_bytes"), v[CGROUP_USAGE]);
}

int cgroup_stat_read(int dirfd, const char *path, enum cgroup_version version,
		     enum cgroup_depth depth, int64_t v[CGROUP_FIGURE_COUNT])
{
	struct folder f = {dirfd, path};
	bool first = v[CGROUP_USAGE] == METRIC_ABSENT;
	char text[64];
	int64_t usage;
	int n = read_file(f, version == CGROUP_V2 ? "memory.current" : "memory.usage_in_bytes",
			  text, sizeof(text));
	int r = n < 0 ? n : procfs_parse_limit(text, (size_t)n, &usage);

	if (r < 0)
		return r;
	usage /= 1024;
	/* Always: who is killed and grows to the limit again leaves the usage as it was. */
	if (version == CGROUP_V2)
		read_events_v2(f, first, v);
	else
		read_events_v1(f, v);
	if (first || depth == CGROUP_FULL || usage != v[CGROUP_USAGE]) {
		v[CGROUP_USAGE] = usage;
		read_heavy(f, version, v);
	}
	if (first || depth == CGROUP_FULL)
		read_limits(f, version, v);
	return 0;
}
