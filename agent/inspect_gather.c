/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inspection.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/act/census.h"
#include "agent/inspect_census.h"
#include "agent/python/heap.h"
#include "agent/sense/allocator.h"
#include "agent/sense/cgroup_tree.h"
#include "common/clock.h"

#define MAPS_MAX ((size_t)1 << 20)

void inspection_note(struct inspection *in, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (in->n_notes < INSPECTION_NOTES)
		vsnprintf(in->notes[in->n_notes++], sizeof(in->notes[0]), fmt, ap);
	va_end(ap);
}

static int64_t to_bytes(int64_t kib)
{
	return kib == METRIC_ABSENT ? kib : kib * 1024;
}

static void read_status(const struct procdir *d, struct inspection *in)
{
	char buf[4096];
	int64_t v[PROCFS_STATUS_COUNT];
	int n = procdir_read(d, in->pid, "status", buf, sizeof(buf));

	procfs_parse_status(buf, n < 0 ? 0 : (size_t)n, v);
	in->rss = to_bytes(v[PROCFS_VMRSS]);
	in->swap = to_bytes(v[PROCFS_VMSWAP]);
	in->threads = v[PROCFS_THREADS];
	if (n >= 0 && in->rss == METRIC_ABSENT)
		inspection_note(
			in, "rss, swap: a kernel thread or a process that has ended has no memory");
}

static void read_rollup(const struct procdir *d, struct inspection *in)
{
	char buf[4096];
	int64_t v[PROCFS_ROLLUP_COUNT];
	int n = procdir_read(d, in->pid, "smaps_rollup", buf, sizeof(buf));

	if (n < 0) {
		inspection_note(in, "pss, uss: cannot read smaps_rollup: %s", strerror(-n));
		return;
	}
	procfs_parse_rollup(buf, (size_t)n, v);
	in->pss = to_bytes(v[PROCFS_ROLLUP_PSS]);
	if (v[PROCFS_ROLLUP_PRIVATE_CLEAN] != METRIC_ABSENT &&
	    v[PROCFS_ROLLUP_PRIVATE_DIRTY] != METRIC_ABSENT)
		in->uss = to_bytes(v[PROCFS_ROLLUP_PRIVATE_CLEAN] + v[PROCFS_ROLLUP_PRIVATE_DIRTY]);
	/* taken in one walk with the PSS, so that rss >= pss >= uss holds in what is shown */
	if (v[PROCFS_ROLLUP_RSS] != METRIC_ABSENT)
		in->rss = to_bytes(v[PROCFS_ROLLUP_RSS]);
}

static void read_limit(struct inspection *in)
{
	struct cgroup_mount mount;
	struct cgroup_tree tree;
	const struct cgroup *cg;

	in->limit = METRIC_ABSENT;
	cgroup_mount_find("/proc/self/mountinfo", &mount);
	if (mount.version == CGROUP_NO_VERSION || cgroup_tree_init(&tree, &mount, NULL) < 0) {
		inspection_note(in, "limit: no memory cgroups are mounted here");
		return;
	}
	cg = cgroup_tree_get(&tree, cgroup_tree_join(&tree, &in->who.paths));
	cgroup_tree_read(&tree, METRIC_ABSENT);
	in->limit = to_bytes(cg ? cg->effective : tree.root_limit);
	if (cg && cg->state == CGROUP_GONE)
		inspection_note(in, "limit: its memory cgroup was not found under %s", mount.path);
	else if (in->limit == METRIC_ABSENT)
		inspection_note(in, "limit: no cgroup of this process limits memory");
	cgroup_tree_fini(&tree);
}

static void read_allocator(const struct procdir *d, struct inspection *in)
{
	auto_free char *maps = malloc(MAPS_MAX);
	int n = maps ? procdir_read_all(d, in->pid, "maps", maps, MAPS_MAX) : -ENOMEM;

	if (n < 0)
		inspection_note(in, "malloc.libc: cannot read maps: %s", strerror(-n));
	else if (!allocator_name(in->libc, sizeof(in->libc), maps, (size_t)n))
		inspection_note(in,
				"malloc.libc: no known C library is mapped (statically linked?)");
}

void inspection_read_heap(struct inspection *in)
{
	const struct inspection_python *py = &in->python;
	int minor = py->state == PYTHON_READABLE ? py->runtime.layout.minor : -1;
	struct error err;

	if (heap_read((pid_t)in->pid, minor, in->parts, &err) < 0) {
		for (int i = 0; i < HEAP_PART_COUNT; i++)
			in->parts[i] = HEAP_ABSENT;
		inspection_note(in, "malloc, memory: %s", err.msg);
	} else if (in->parts[HEAP_PART_MALLOC_FREE] == HEAP_ABSENT) {
		inspection_note(in, "malloc.free_bytes: its heap is not glibc's, is in swap, or "
				    "changed while it was read");
	}
}

static void read_fds(const struct procdir *d, struct inspection *in)
{
	int n = procdir_count_fds(d, in->pid);

	in->fds = n < 0 ? METRIC_ABSENT : n;
	if (n < 0)
		inspection_note(in, "fds: cannot read fd: %s", strerror(-n));
}

static void read_all(const struct inspect_options *o, const struct procdir *d,
		     struct inspection *in)
{
	struct error err;

	in->start_us =
		clock_wall_us() - clock_boot_us() +
		(int64_t)(in->who.start_ticks * USEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
	read_status(d, in);
	read_rollup(d, in);
	read_limit(in);
	read_allocator(d, in);
	read_fds(d, in);
	if (strcmp(o->proc_path, "/proc") == 0) {
		inspection_read_python(in);
		inspection_read_heap(in);
	} else {
		inspection_note(in, "python: its memory is not in %.80s", o->proc_path);
		inspection_note(in, "malloc, memory: not in %.80s either", o->proc_path);
	}
	if (o->census && inspect_census(o->pid, &in->census, &err) < 0)
		inspection_note(in, "census: %s", err.msg);
}

int inspection_gather(const struct inspect_options *o, struct inspection *in, struct error *err)
{
	struct containers known;
	struct procdir d;
	int r = procdir_open(&d, o->proc_path, err);

	if (r < 0)
		return r;
	*in = (struct inspection){.pid = o->pid,
				  .rss = METRIC_ABSENT,
				  .pss = METRIC_ABSENT,
				  .uss = METRIC_ABSENT,
				  .swap = METRIC_ABSENT,
				  .limit = METRIC_ABSENT,
				  .threads = METRIC_ABSENT,
				  .fds = METRIC_ABSENT,
				  .python = {.state = PYTHON_NOT_PYTHON},
				  .census = BUF_INIT(CENSUS_BODY_MAX),
				  .past = {.census = BUF_INIT(CENSUS_BODY_MAX)}};
	for (int i = 0; i < HEAP_PART_COUNT; i++)
		in->parts[i] = HEAP_ABSENT;
	containers_init(&known, 1);
	r = describe_named(&d, o->pid, &known, 0, &in->who);
	containers_fini(&known);
	if (r == 0 && o->seconds)
		r = inspection_watch(o, &d, in);
	if (r == 0)
		read_all(o, &d, in);
	else if (r == -ENOENT || r == -ESRCH)
		error_set(err, r, "no process %u", o->pid);
	else
		error_sys(err, r, "cannot read process %u", o->pid);
	procdir_close(&d);
	return r;
}

void inspection_fini(struct inspection *in)
{
	buf_fini(&in->census);
	buf_fini(&in->past.census);
}
