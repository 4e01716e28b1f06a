/* SPDX-License-Identifier: Apache-2.0 */
/* The facts of posture.h, read. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/sense/cgroup_mount.h"
#include "agent/sense/posture.h"
#include "common/fs.h"
#include "common/str.h"

const struct posture_paths posture_system_paths = {
	.proc = "/proc",
	.sys_block = HOSTSTAT_SYS_BLOCK,
	.kmsg = "/dev/kmsg",
	.tracing = "/sys/kernel/tracing",
	.journal = {"/var/log/journal", "/run/log/journal"},
};

static int64_t number(const struct procdir *d, uint32_t pid, const char *file)
{
	char text[32];
	int64_t v;
	int n = procdir_read(d, pid, file, text, sizeof(text));

	return n > 0 && str_parse_int(str_trim(text), &v) == 0 ? v : POSTURE_UNKNOWN;
}

static int64_t opens(const char *path, int flags)
{
	auto_close int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | flags);

	return fd >= 0;
}

/* 'hidepid=2', since Linux 5.8 also 'hidepid=invisible', in the options of the mount of proc. */
static int64_t parse_hidepid(const char *options)
{
	static const char *const words[] = {"off", "noaccess", "invisible", "", "ptraceable"};
	const char *at = strstr(options, "hidepid=");

	if (!at)
		return 0;
	at += strlen("hidepid=");
	if (*at >= '0' && *at <= '4')
		return *at - '0';
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (*words[i] && str_starts(at, words[i]))
			return (int64_t)i;
	return POSTURE_UNKNOWN;
}

static int64_t read_hidepid(const struct procdir *d, const char *proc)
{
	auto_free char *text = malloc(65536);
	int n = text ? procdir_read_all(d, PROCDIR_NO_PID, "self/mounts", text, 65536) : -1;
	char *save = NULL;
	int64_t result = POSTURE_UNKNOWN;

	if (n < 0)
		return POSTURE_UNKNOWN;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char at[256];
		char type[32];
		char options[512];

		/* of several mounts on one folder the last is seen */
		if (sscanf(line, "%*255s %255s %31s %511s", at, type, options) == 3 &&
		    strcmp(type, "proc") == 0 && strcmp(at, proc) == 0)
			result = parse_hidepid(options);
	}
	return result;
}

static bool is_sshd(const struct procdir *d, uint32_t pid)
{
	char comm[32];

	return procdir_read(d, pid, "comm", comm, sizeof(comm)) > 0 && strcmp(comm, "sshd\n") == 0;
}

/* The listener's figure: its sessions get back what they were started with, so it has the least. */
static void look_at_processes(struct procdir *d, struct posture_facts *f)
{
	uint32_t pid;
	uint64_t ino;
	int r = procdir_rewind(d);

	while (r >= 0 && (r = procdir_next(d, &pid, &ino)) > 0) {
		int64_t adj = is_sshd(d, pid) ? number(d, pid, "oom_score_adj") : POSTURE_UNKNOWN;

		if (adj != POSTURE_UNKNOWN &&
		    (f->sshd_score_adj == POSTURE_UNKNOWN || adj < f->sshd_score_adj))
			f->sshd_score_adj = adj;
	}
}

static int64_t reads(const struct procdir *d, uint32_t pid, const char *file)
{
	char text[256];

	return procdir_read(d, pid, file, text, sizeof(text)) > 0;
}

static void gather_views(const struct posture_paths *paths, const struct procdir *d,
			 struct posture_facts *f)
{
	char path[512];
	struct cgroup_mount m;

	f->dmesg_restrict = number(d, PROCDIR_NO_PID, "sys/kernel/dmesg_restrict");
	f->kmsg_readable = opens(paths->kmsg, 0);
	f->psi = reads(d, PROCDIR_NO_PID, "pressure/memory");
	f->hidepid = read_hidepid(d, paths->proc);
	f->rollup_there = reads(d, PROCDIR_NO_PID, "self/smaps_rollup");
	/* pid 1 is nobody's but root's */
	f->rollup_readable = reads(d, 1, "smaps_rollup");
	snprintf(path, sizeof(path), "%s/events/oom/mark_victim/format", paths->tracing);
	f->tracefs = opens(path, 0);
	f->journal_readable =
		opens(paths->journal[0], O_DIRECTORY) || opens(paths->journal[1], O_DIRECTORY);
	snprintf(path, sizeof(path), "%s/self/mountinfo", paths->proc);
	cgroup_mount_find(path, &m);
	f->cgroup_version = m.version;
	f->own_score_adj = number(d, PROCDIR_NO_PID, "self/oom_score_adj");
}

static void gather_settings(const struct procdir *d, struct posture_facts *f)
{
	f->panic_on_oom = number(d, PROCDIR_NO_PID, "sys/vm/panic_on_oom");
	f->kill_allocating = number(d, PROCDIR_NO_PID, "sys/vm/oom_kill_allocating_task");
	f->dump_tasks = number(d, PROCDIR_NO_PID, "sys/vm/oom_dump_tasks");
}

static void gather_memory(const struct posture_paths *paths, const struct procdir *d,
			  struct posture_facts *f)
{
	int64_t v[HOST_METRIC_COUNT];
	struct hoststat h;
	char buf[8192];
	int n = procdir_read_all(d, PROCDIR_NO_PID, "meminfo", buf, sizeof(buf));

	procfs_parse_meminfo(buf, n < 0 ? 0 : (size_t)n, v);
	hoststat_clear(&h);
	hoststat_read_settings(d, paths->sys_block, &h);
	f->mem_total = v[HOST_METRIC_TOTAL];
	f->swap_total = v[HOST_METRIC_SWAP_TOTAL];
	f->overcommit = h.overcommit;
	f->swappiness = h.swappiness;
	f->zram_devices = h.zram_devices == METRIC_ABSENT ? 0 : h.zram_devices;
}

void posture_gather(const struct posture_paths *paths, struct posture_facts *f)
{
	struct procdir d;

	if (procdir_open(&d, paths->proc, NULL) < 0)
		return;
	gather_memory(paths, &d, f);
	gather_settings(&d, f);
	gather_views(paths, &d, f);
	f->sshd_score_adj = POSTURE_UNKNOWN;
	look_at_processes(&d, f);
	procdir_close(&d);
}
