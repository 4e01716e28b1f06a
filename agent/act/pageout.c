/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/pageout.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/act/cgroup.h"
#include "agent/act/inject/worker.h"
#include "agent/act/reclaim.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#define SMAPS_MAX   ((size_t)32 << 20)
#define RANGES_MAX  1024 /* of one call, as the kernel has it */
#define WATCH_SEC   5
#define DEADLINE_US (20 * USEC_PER_SEC)
#define COLD_PART   20 /* touched less than the 20th of it */

struct mapping {
	uint64_t from, to;
	bool plain; /* private, writable, of no file */
	int64_t rss, anon, touched, locked;
};

/* 'from-to rw-p offset device inode name' */
static bool take_head(struct mapping *m, const char *line)
{
	char perms[5];
	uint64_t inode;

	*m = (struct mapping){.plain = false};
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %*s %" SCNu64, &m->from, &m->to, perms,
		   &inode) != 4)
		return false;
	m->plain = perms[1] == 'w' && perms[3] == 'p' && inode == 0;
	return true;
}

static void take_figure(struct mapping *m, const char *line)
{
	const struct {
		const char *name;
		int64_t *to;
	} figures[] = {{"Rss:", &m->rss},
		       {"Anonymous:", &m->anon},
		       {"Referenced:", &m->touched},
		       {"Locked:", &m->locked}};
	int64_t kib;

	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		if (str_starts(line, figures[i].name) &&
		    sscanf(line + strlen(figures[i].name), "%" SCNd64, &kib) == 1)
			*figures[i].to = kib * 1024;
}

static bool is_cold(const struct mapping *m)
{
	return m->plain && m->anon > 0 && !m->locked && m->touched * COLD_PART <= m->rss;
}

size_t pageout_cold(const char *smaps, int64_t bytes, struct iovec *ret, size_t max,
		    int64_t *ret_bytes)
{
	struct mapping m = {.plain = false}, next;
	size_t n = 0;

	*ret_bytes = 0;
	for (const char *l = smaps; n < max && *ret_bytes < bytes;) {
		bool head = *l && take_head(&next, l);

		if ((head || !*l) && is_cold(&m)) {
			ret[n++] = (struct iovec){.iov_base = (void *)(uintptr_t)m.from,
						  .iov_len = (size_t)(m.to - m.from)};
			*ret_bytes += m.anon;
		}
		if (!*l)
			break;
		if (head)
			m = next;
		else
			take_figure(&m, l);
		l += strcspn(l, "\n");
		l += *l == '\n';
	}
	return n;
}

struct job {
	const struct process *process;
	int64_t bytes;
	int64_t watch_sec;
};

static int open_of(pid_t pid, const char *file, int flags)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return open(path, flags | O_CLOEXEC);
}

static int forget_touches(const struct process *p, struct error *err)
{
	auto_close int fd = open_of(p->pid, "clear_refs", O_WRONLY);

	if (fd < 0 || !process_alive(p) || write(fd, "1", 1) != 1)
		return error_sys(err, -errno, "cannot watch what process %d touches", (int)p->pid);
	return 0;
}

static int page_out(const struct process *p, const struct iovec *ranges, size_t n,
		    struct error *err)
{
	if (syscall(SYS_process_madvise, p->pidfd, ranges, n, MADV_PAGEOUT, 0) < 0)
		return error_sys(err, -errno, "cannot page out memory of process %d", (int)p->pid);
	return 0;
}

/* result: how much of it was cold. */
static int work(const void *arg, void *result, struct error *err)
{
	const struct job *j = arg;
	const struct process *p = j->process;
	auto_buf struct buf text = BUF_INIT(SMAPS_MAX);
	struct iovec ranges[RANGES_MAX];
	char path[48];
	size_t n;
	int rc = forget_touches(p, err);

	if (rc < 0)
		return rc;
	sleep((unsigned)j->watch_sec);
	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)p->pid);
	rc = fs_read(path, &text, err);
	if (rc == 0 && !process_alive(p))
		rc = error_set(err, -ESRCH, "process %d ended", (int)p->pid);
	if (rc < 0)
		return rc;
	buf_putc(&text, '\0');
	if (buf_status(&text) < 0)
		return error_set(err, -ENOMEM, "no memory for '%s'", path);
	n = pageout_cold((const char *)text.data, j->bytes, ranges, RANGES_MAX, result);
	return n ? page_out(p, ranges, n, err) : 0;
}

/* The worker closes what is not its own, and needs the process's. */
static int work_by_pid(const void *arg, void *result, struct error *err)
{
	struct job j = *(const struct job *)arg;
	auto_process struct process p = {.pidfd = -1};
	int rc = process_open(j.process->pid, &p, err);

	if (rc == 0 && p.start_ticks != j.process->start_ticks)
		rc = error_set(err, -ESRCH, "process %d ended", (int)p.pid);
	j.process = &p;
	return rc < 0 ? rc : work(&j, result, err);
}

void pageout_process(const struct process *p, const struct action_order *o, const char *why,
		     struct command_result *r)
{
	const struct job job = {.process = p,
				.bytes = o->params[RECLAIM_BYTES],
				.watch_sec = WATCH_SEC};
	char text[5][STR_UNIT_SIZE];
	struct process_memory after;
	struct error err = {""};
	int64_t cold = 0;
	int rc;

	if (cgroup_host_swap() <= 0) {
		action_say(r, COMMAND_REFUSED,
			   "%.200s, and there is no swap that its own pages could go to", why);
		return;
	}
	if (o->dry_run) {
		action_say(r, COMMAND_DRY_RUN,
			   "would watch process %d for %d s and page out what it does not touch, "
			   "up to %s of RSS %s (%.140s)",
			   (int)p->pid, WATCH_SEC, str_bytes(text[0], job.bytes),
			   str_bytes(text[1], r->rss_before), why);
		return;
	}
	rc = worker_run(work_by_pid, &job, &cold, sizeof(cold), DEADLINE_US, &err);
	if (process_memory(p, &after, rc < 0 ? NULL : &err) == 0) {
		r->rss_after = after.rss;
		r->swap_after = after.swap;
	} else if (rc == 0) {
		rc = -ESRCH;
	}
	if (rc < 0)
		action_say(r, COMMAND_FAILED, "%s", err.msg);
	else
		action_say(r, COMMAND_DONE,
			   "paged out %s of %s (%s were not touched for %d s): RSS is %s, swap %s",
			   str_bytes(text[0], MAX_OF(after.swap - r->swap_before, (int64_t)0)),
			   str_bytes(text[1], job.bytes), str_bytes(text[2], cold), WATCH_SEC,
			   str_bytes(text[3], after.rss), str_bytes(text[4], after.swap));
}
