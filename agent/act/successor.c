/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/successor.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"

#define LOOK_EVERY_MS 100

/* How many bytes there are of them, as the kernel joins them with NULs. */
static size_t read_arguments(pid_t pid, char out[SUCCESSOR_ARGUMENTS])
{
	char path[32];
	auto_close int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, out, SUCCESSOR_ARGUMENTS);
	return n > 0 ? (size_t)n : 0;
}

void successor_expect(struct successor_like *l, const struct process *before, bool sibling)
{
	*l = (struct successor_like){
		.before = before,
		.parent = sibling || before->supervisor.kind == SUPERVISOR_PARENT ? before->parent
										  : 0,
		.same_line = before->supervisor.kind == SUPERVISOR_BARE,
		.since = (uint64_t)clock_boot_us() * (uint64_t)sysconf(_SC_CLK_TCK) / USEC_PER_SEC,
	};
	if (l->same_line)
		l->len = read_arguments(before->pid, l->arguments);
}

static bool takes_its_place(const struct successor_like *l, const struct process *p)
{
	const struct process *before = l->before;
	char arguments[SUCCESSOR_ARGUMENTS];

	if (l->only)
		return p->pid == l->only;
	if (strcmp(p->exe, before->exe) != 0 || strcmp(p->cgroup, before->cgroup) != 0)
		return false;
	if (l->parent && p->parent != l->parent)
		return false;
	if (!l->same_line)
		return true;
	return p->uid == before->uid && read_arguments(p->pid, arguments) == l->len &&
	       memcmp(arguments, l->arguments, l->len) == 0;
}

/* One pid: into *best when it is one of them, and the largest so far. */
static void look_at(pid_t pid, const struct successor_like *l, struct successor *best)
{
	auto_process struct process p = {.pidfd = -1};
	struct process_memory m;
	uint64_t start;

	/* Most are older, and that is one small file. */
	if (process_start_ticks(pid, &start) < 0 || start < l->since ||
	    process_open(pid, &p, NULL) < 0 || !takes_its_place(l, &p) ||
	    process_memory(&p, &m, NULL) < 0)
		return;
	if (!best->pid || m.rss > best->memory.rss)
		*best = (struct successor){.pid = pid, .memory = m};
}

static struct successor look(const struct successor_like *l)
{
	struct successor best = {.pid = 0};
	DIR *d = opendir("/proc");
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (isdigit((unsigned char)*e->d_name))
			look_at((pid_t)strtol(e->d_name, NULL, 10), l, &best);
	if (d)
		closedir(d);
	return best;
}

int successor_wait(const struct successor_like *l, int64_t until_us, int64_t settle_us,
		   struct successor *ret)
{
	struct successor found;
	struct successor later;

	for (;;) {
		found = look(l);
		if (found.pid)
			break;
		if (clock_boot_us() >= until_us)
			return -ENOENT;
		poll(NULL, 0, LOOK_EVERY_MS);
	}
	poll(NULL, 0, (int)(settle_us / 1000));
	later = look(l);
	/* One that ended again at once took no place. */
	if (!later.pid)
		return -ENOENT;
	*ret = later;
	return 0;
}
