/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inspect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/act/census.h"
#include "agent/act/census_print.h"
#include "agent/inspect_census.h"
#include "agent/sense/allocator.h"
#include "agent/sense/cgroup_tree.h"
#include "agent/sense/describe.h"
#include "common/clock.h"
#include "common/str.h"

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_DENIED, EXIT_NOT_FOUND };

#define NOTES_MAX 12
#define MAPS_MAX  ((size_t)1 << 20)

static const char usage[] = "usage: memherd-agent inspect PID [--json] [--census] [--proc DIR]\n"
			    "\n"
			    "  --json      one JSON object\n"
			    "  --census    ask for the counts of Python objects too\n"
			    "  --proc DIR  read this folder instead of /proc\n";

struct inspect_options {
	uint32_t pid;
	bool json;
	bool census;
	const char *proc_path;
};

/* Bytes and counts; METRIC_ABSENT = not had, a note says why. */
struct inspection {
	uint32_t pid;
	struct description who;
	int64_t start_us;
	int64_t rss;
	int64_t pss;
	int64_t uss;
	int64_t swap;
	int64_t limit;
	int64_t threads;
	int64_t fds;
	char libc[32]; /* "" = not had */
	char notes[NOTES_MAX][160];
	size_t n_notes;
	struct buf census; /* encoded; empty where there is none */
};

static void note(struct inspection *in, const char *fmt, ...) printf_like(2, 3);
static void note(struct inspection *in, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (in->n_notes < NOTES_MAX)
		vsnprintf(in->notes[in->n_notes++], sizeof(in->notes[0]), fmt, ap);
	va_end(ap);
}

/* ---- gathering ---- */

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
		note(in, "rss, swap: a kernel thread or a process that has ended has no memory");
}

static void read_rollup(const struct procdir *d, struct inspection *in)
{
	char buf[4096];
	int64_t v[PROCFS_ROLLUP_COUNT];
	int n = procdir_read(d, in->pid, "smaps_rollup", buf, sizeof(buf));

	if (n < 0) {
		note(in, "pss, uss: cannot read smaps_rollup: %s", strerror(-n));
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
		note(in, "limit: no memory cgroups are mounted here");
		return;
	}
	cg = cgroup_tree_get(&tree, cgroup_tree_join(&tree, &in->who.paths));
	cgroup_tree_read(&tree, METRIC_ABSENT);
	in->limit = to_bytes(cg ? cg->effective : tree.root_limit);
	if (cg && cg->state == CGROUP_GONE)
		note(in, "limit: its memory cgroup was not found under %s", mount.path);
	else if (in->limit == METRIC_ABSENT)
		note(in, "limit: no cgroup of this process limits memory");
	cgroup_tree_fini(&tree);
}

static void read_allocator(const struct procdir *d, struct inspection *in)
{
	auto_free char *maps = malloc(MAPS_MAX);
	int n = maps ? procdir_read_all(d, in->pid, "maps", maps, MAPS_MAX) : -ENOMEM;

	if (n < 0)
		note(in, "malloc.libc: cannot read maps: %s", strerror(-n));
	else if (!allocator_name(in->libc, sizeof(in->libc), maps, (size_t)n))
		note(in, "malloc.libc: no known C library is mapped (statically linked?)");
}

static void read_fds(const struct procdir *d, struct inspection *in)
{
	int n = procdir_count_fds(d, in->pid);

	in->fds = n < 0 ? METRIC_ABSENT : n;
	if (n < 0)
		note(in, "fds: cannot read fd: %s", strerror(-n));
}

static int gather(const struct inspect_options *o, struct inspection *in, struct error *err)
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
				  .census = BUF_INIT(CENSUS_BODY_MAX)};
	containers_init(&known, 1);
	r = describe_named(&d, o->pid, &known, 0, &in->who);
	containers_fini(&known);
	if (r == 0) {
		in->start_us = clock_wall_us() - clock_boot_us() +
			       (int64_t)(in->who.start_ticks * USEC_PER_SEC /
					 (uint64_t)sysconf(_SC_CLK_TCK));
		read_status(&d, in);
		read_rollup(&d, in);
		read_limit(in);
		read_allocator(&d, in);
		read_fds(&d, in);
		note(in, "malloc.arenas, system_bytes, free_bytes: not read yet by this version");
		note(in, "python: not read yet by this version");
		if (o->census && inspect_census(o->pid, &in->census, err) < 0)
			note(in, "census: %s", err->msg);
	} else if (r == -ENOENT || r == -ESRCH) {
		error_set(err, r, "no process %u", o->pid);
	} else {
		error_sys(err, r, "cannot read process %u", o->pid);
	}
	procdir_close(&d);
	return r;
}

/* ---- showing ---- */

static void print_json_text(const char *s)
{
	if (!*s) {
		fputs("null", stdout);
		return;
	}
	putchar('"');
	/* str_safe() left only printable UTF-8 */
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putchar('\\');
		putchar(*s);
	}
	putchar('"');
}

static void print_json_number(const char *key, int64_t v)
{
	if (v == METRIC_ABSENT)
		printf("\"%s\":null,", key);
	else
		printf("\"%s\":%" PRId64 ",", key, v);
}

static void print_json_field(const char *key, const char *text)
{
	printf("\"%s\":", key);
	print_json_text(text);
	putchar(',');
}

static void print_json(const struct inspection *in)
{
	char started[STR_TIME_SIZE];

	printf("{\"pid\":%u,", in->pid);
	print_json_field("comm", in->who.comm);
	print_json_field("cmdline", in->who.cmdline);
	print_json_field("service", in->who.service);
	print_json_field("container", in->who.container);
	print_json_field("start_time", str_time(started, in->start_us));
	print_json_number("rss_bytes", in->rss);
	print_json_number("pss_bytes", in->pss);
	print_json_number("uss_bytes", in->uss);
	print_json_number("swap_bytes", in->swap);
	print_json_number("limit_bytes", in->limit);
	print_json_number("threads", in->threads);
	print_json_number("fds", in->fds);
	fputs("\"malloc\":{\"arenas\":null,\"system_bytes\":null,\"free_bytes\":null,\"libc\":",
	      stdout);
	print_json_text(in->libc);
	fputs("},\"python\":null,\"census\":", stdout);
	if (!in->census.len || census_print_json(stdout, &in->census, INSPECT_CENSUS_TOP, NULL) < 0)
		fputs("null", stdout);
	fputs(",\"notes\":[", stdout);
	for (size_t i = 0; i < in->n_notes; i++) {
		if (i)
			putchar(',');
		print_json_text(in->notes[i]);
	}
	puts("]}");
}

static void print_bytes(const char *label, int64_t v)
{
	char text[STR_UNIT_SIZE];

	printf("%-10s %s\n", label, v == METRIC_ABSENT ? "unknown" : str_bytes(text, v));
}

static void print_count(const char *label, int64_t v)
{
	if (v == METRIC_ABSENT)
		printf("%-10s unknown\n", label);
	else
		printf("%-10s %" PRId64 "\n", label, v);
}

static void print_text(const char *label, const char *v)
{
	if (*v)
		printf("%-10s %s\n", label, v);
}

static void print_container(const struct description *who)
{
	if (!who->contained)
		return;
	printf("%-10s %s (%s)", "container", who->container, who->in_container.runtime);
	if (who->in_container.pod[0])
		printf(", pod %s", who->in_container.pod);
	putchar('\n');
}

static void print_human(const struct inspection *in)
{
	char started[STR_TIME_SIZE];
	char age[STR_UNIT_SIZE];

	printf("%-10s %u (%s), user %u, parent %u\n", "process", in->pid, in->who.comm, in->who.uid,
	       in->who.ppid);
	print_text("service", in->who.service);
	print_text("role", wire_role_word(in->who.role));
	print_container(&in->who);
	print_text("command", in->who.cmdline);
	print_text("program", in->who.exe);
	print_text("cgroup", in->who.cgroup);
	printf("%-10s %s (%s ago)\n", "started", str_time(started, in->start_us),
	       str_duration(age, clock_wall_us() - in->start_us));
	print_bytes("RSS", in->rss);
	print_bytes("PSS", in->pss);
	print_bytes("USS", in->uss);
	print_bytes("swap", in->swap);
	print_bytes("limit", in->limit);
	print_count("threads", in->threads);
	print_count("fds", in->fds);
	print_text("malloc", in->libc);
	for (size_t i = 0; i < in->n_notes; i++)
		printf("%-10s %s\n", i ? "" : "notes", in->notes[i]);
	if (in->census.len) {
		fputs("census     ", stdout);
		if (census_print_table(stdout, &in->census, INSPECT_CENSUS_TOP, NULL) < 0)
			puts("unreadable");
	}
}

/* ---- the command ---- */

static int parse_pid(const char *text, uint32_t *ret, struct error *err)
{
	int64_t v;

	if (str_parse_int(text, &v) < 0 || v < 1 || v > (1 << 22))
		return error_set(err, -EINVAL, "'%s' is not a process id", text);
	*ret = (uint32_t)v;
	return 0;
}

static int parse_options(int argc, char **argv, struct inspect_options *o, struct error *err)
{
	*o = (struct inspect_options){.proc_path = "/proc"};
	for (int i = 1; i < argc; i++) {
		int r;

		if (strcmp(argv[i], "--json") == 0) {
			o->json = true;
		} else if (strcmp(argv[i], "--census") == 0) {
			o->census = true;
		} else if (strcmp(argv[i], "--proc") == 0 && i + 1 < argc) {
			o->proc_path = argv[++i];
		} else if (argv[i][0] == '-' || o->pid) {
			return error_set(err, -EINVAL, "unexpected argument '%s'", argv[i]);
		} else {
			r = parse_pid(argv[i], &o->pid, err);
			if (r < 0)
				return r;
		}
	}
	if (!o->pid)
		return error_set(err, -EINVAL, "which process? a PID is missing");
	return 0;
}

static int exit_code(int r)
{
	if (r == -ENOENT || r == -ESRCH)
		return EXIT_NOT_FOUND;
	return r == -EACCES || r == -EPERM ? EXIT_DENIED : EXIT_FAILED;
}

int inspect_main(int argc, char **argv)
{
	struct inspect_options o;
	struct inspection in;
	struct error err;
	int r;

	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	if (parse_options(argc, argv, &o, &err) < 0) {
		fprintf(stderr, "memherd-agent inspect: %s\n%s", err.msg, usage);
		return EXIT_USAGE;
	}
	r = gather(&o, &in, &err);
	if (r < 0) {
		fprintf(stderr, "memherd-agent inspect: %s\n", err.msg);
		return exit_code(r);
	}
	if (o.json)
		print_json(&in);
	else
		print_human(&in);
	buf_fini(&in.census);
	return fflush(stdout) ? EXIT_FAILED : EXIT_OK;
}
