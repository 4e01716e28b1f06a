/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/successor.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "common/clock.h"

#define LOOK_EVERY_MS 100

uint64_t successor_now(void)
{
	return (uint64_t)clock_boot_us() * (uint64_t)sysconf(_SC_CLK_TCK) / USEC_PER_SEC;
}

static bool takes_its_place(const struct process *before, const struct process *p, pid_t parent)
{
	return strcmp(p->exe, before->exe) == 0 && strcmp(p->cgroup, before->cgroup) == 0 &&
	       (!parent || p->parent == parent);
}

/* One pid: 0 when it is one, and larger than *best. */
static void look_at(pid_t pid, const struct process *before, uint64_t since, pid_t parent,
		    struct successor *best)
{
	auto_process struct process p = {.pidfd = -1};
	struct process_memory m;
	uint64_t start;

	/* Most are older, and that is one small file. */
	if (process_start_ticks(pid, &start) < 0 || start < since ||
	    process_open(pid, &p, NULL) < 0 || !takes_its_place(before, &p, parent) ||
	    process_memory(&p, &m, NULL) < 0)
		return;
	if (!best->pid || m.rss > best->memory.rss)
		*best = (struct successor){.pid = pid, .memory = m};
}

static struct successor look(const struct process *before, uint64_t since, pid_t parent)
{
	struct successor best = {.pid = 0};
	DIR *d = opendir("/proc");
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (isdigit((unsigned char)*e->d_name))
			look_at((pid_t)strtol(e->d_name, NULL, 10), before, since, parent, &best);
	if (d)
		closedir(d);
	return best;
}

int successor_wait(const struct process *before, uint64_t since, pid_t parent, int64_t until_us,
		   int64_t settle_us, struct successor *ret)
{
	struct successor found;
	struct successor later;

	for (;;) {
		found = look(before, since, parent);
		if (found.pid)
			break;
		if (clock_boot_us() >= until_us)
			return -ENOENT;
		poll(NULL, 0, LOOK_EVERY_MS);
	}
	poll(NULL, 0, (int)(settle_us / 1000));
	later = look(before, since, parent);
	/* One that ended again at once took no place. */
	if (!later.pid)
		return -ENOENT;
	*ret = later;
	return 0;
}
