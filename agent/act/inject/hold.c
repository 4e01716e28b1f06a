/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/inject/hold.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/act/inject/safepoint.h"
#include "agent/act/inject/tracee.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#define PASSES_MAX 8
#define STEP_NS    20000

int hold_init(struct hold *h, pid_t pid)
{
	*h = (struct hold){.pid = pid, .tids = calloc(HOLD_MAX, sizeof(pid_t))};
	return h->tids ? 0 : -ENOMEM;
}

int hold_fini(struct hold *h, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; i < h->n; i++)
		tracee_let_go(h->tids[i]);
	for (size_t i = h->n; rc != -ETIMEDOUT && i < h->n + h->late; i++)
		rc = tracee_drop(h->pid, h->tids[i], err);
	free(h->tids);
	*h = (struct hold){0};
	return rc;
}

bool hold_has(const struct hold *h, pid_t tid)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->tids[i] == tid)
			return true;
	return false;
}

void hold_release(struct hold *h, pid_t tid)
{
	for (size_t i = 0; i < h->n; i++) {
		if (h->tids[i] != tid)
			continue;
		tracee_let_go(tid);
		h->tids[i] = h->tids[--h->n];
		return;
	}
}

int hold_list(pid_t pid, pid_t *ret, size_t max)
{
	char path[32];
	struct dirent *d;
	size_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -ESRCH;
	while (n < max && (d = readdir(dir))) {
		int64_t tid;

		if (str_parse_int(d->d_name, &tid) == 0 && tid > 0)
			ret[n++] = (pid_t)tid;
	}
	closedir(dir);
	return (int)n;
}

char hold_state(pid_t pid, pid_t tid)
{
	char stat[1024];

	return tracee_file(pid, tid, "stat", stat, sizeof(stat)) < 0 ? 0 : stat_state(stat);
}

static bool is_wanted(const struct hold *h, pid_t tid, bool all, pid_t except)
{
	char state;

	if (tid == except || hold_has(h, tid))
		return false;
	state = hold_state(h->pid, tid);
	/* A thread that ends has nothing to stop. */
	return state == 'R' || (all && state && state != 'Z' && state != 'X');
}

/*
 * Of the n behind h->n that were asked: looks at each in turn, so that each is set right as soon as
 * it stands, and moves it among those that are held. One that ended is none to hold.
 */
static int wait_all(struct hold *h, size_t n, struct error *err)
{
	const struct timespec step = {.tv_nsec = STEP_NS};
	int64_t until = clock_boot_us() + TRACEE_STOP_WAIT_US;

	for (size_t i = 0; n; i = i + 1 < n ? i + 1 : 0) {
		pid_t *one = &h->tids[h->n + i];
		pid_t tid = *one;
		int rc = tracee_poll(tid);

		if (rc == -EINPROGRESS) {
			if (clock_boot_us() >= until) {
				h->late = n;
				return error_set(err, -EAGAIN,
						 "thread %d did not stop within %d ms", (int)tid,
						 TRACEE_STOP_WAIT_US / 1000);
			}
			if (i + 1 == n)
				nanosleep(&step, NULL);
			continue;
		}
		if (rc >= 0) {
			tracee_hide_stop(h->pid, tid);
			*one = h->tids[h->n];
			h->tids[h->n++] = tid;
		} else {
			*one = h->tids[h->n + n - 1];
		}
		n--;
	}
	return 0;
}

/* The count of those that were stopped in this pass, or negative. All are asked to stop before the
 * first is waited for. */
static int pass(struct hold *h, bool all, pid_t except, struct error *err)
{
	static pid_t tids[HOLD_MAX];
	size_t before = h->n;
	size_t asked = 0;
	int n = hold_list(h->pid, tids, HOLD_MAX);
	int rc = 0;
	int late;

	if (n < 0)
		return error_set(err, n, "process %d is gone", (int)h->pid);
	if (n == HOLD_MAX)
		return error_set(err, -E2BIG, "process %d has %u threads or more", (int)h->pid,
				 HOLD_MAX);
	for (int i = 0; rc == 0 && i < n; i++) {
		if (!is_wanted(h, tids[i], all, except) || h->n + asked == HOLD_MAX)
			continue;
		rc = tracee_seize(tids[i], 0, err);
		if (rc == 0)
			h->tids[h->n + asked++] = tids[i];
		else if (rc == -EAGAIN)
			rc = 0;
	}
	late = wait_all(h, asked, err);
	if (rc == 0)
		rc = late;
	return rc < 0 ? rc : (int)(h->n - before);
}

int hold_threads(struct hold *h, bool all, pid_t except, struct error *err)
{
	int rc = 1;

	/* Threads of a process that starts many may never be all held: those that are left run. */
	for (int i = 0; rc > 0 && i < PASSES_MAX; i++)
		rc = pass(h, all, except, err);
	if (rc > 0 && all)
		return error_set(err, -EAGAIN, "threads appear faster than they can be stopped");
	return rc < 0 ? rc : 0;
}

pid_t hold_pid_there(pid_t pid)
{
	char path[32];
	char text[4096];
	const char *line;
	int last = pid;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (fs_read_small(AT_FDCWD, path, text, sizeof(text)) < 0)
		return pid;
	line = strstr(text, "\nNSpid:");
	if (!line)
		return pid;
	line += strlen("\nNSpid:");
	for (const char *end = line + strcspn(line, "\n"); line < end;) {
		int used = 0;

		if (sscanf(line, "%d%n", &last, &used) != 1)
			break;
		line += used;
		line += strspn(line, " \t");
	}
	return last;
}
