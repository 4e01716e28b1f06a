/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/inject/hold.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "agent/act/inject/safepoint.h"
#include "agent/act/inject/tracee.h"
#include "common/str.h"

#define PASSES_MAX 8

int hold_init(struct hold *h, pid_t pid)
{
	*h = (struct hold){.pid = pid, .tids = calloc(HOLD_MAX, sizeof(pid_t))};
	return h->tids ? 0 : -ENOMEM;
}

void hold_fini(struct hold *h)
{
	while (h->n)
		tracee_let_go(h->tids[--h->n]);
	free(h->tids);
	h->tids = NULL;
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

/* One that ended meanwhile is none to hold; any other that does not stand still is a failure. */
static int wait_all(struct hold *h, size_t from, struct error *err)
{
	int rc = 0;

	for (size_t i = from; i < h->n;) {
		int stopped = tracee_wait(h->tids[i]);

		if (stopped >= 0) {
			tracee_hide_stop(h->pid, h->tids[i++]);
			continue;
		}
		if (stopped != -ESRCH && stopped != -ECHILD)
			rc = error_set(err, -EAGAIN, "thread %d did not stop within %d ms",
				       (int)h->tids[i], TRACEE_STOP_WAIT_US / 1000);
		h->tids[i] = h->tids[--h->n];
	}
	return rc;
}

/* The count of those that were stopped in this pass, or negative. All are asked to stop before the
 * first is waited for. */
static int pass(struct hold *h, bool all, pid_t except, struct error *err)
{
	static pid_t tids[HOLD_MAX];
	size_t from = h->n;
	int n = hold_list(h->pid, tids, HOLD_MAX);
	int rc = 0;

	if (n < 0)
		return error_set(err, n, "process %d is gone", (int)h->pid);
	if (n == HOLD_MAX)
		return error_set(err, -E2BIG, "process %d has %u threads or more", (int)h->pid,
				 HOLD_MAX);
	for (int i = 0; rc == 0 && i < n; i++) {
		if (!is_wanted(h, tids[i], all, except))
			continue;
		rc = tracee_seize(tids[i], 0, err);
		if (rc == 0)
			h->tids[h->n++] = tids[i];
		else if (rc == -EAGAIN)
			rc = 0;
	}
	if (rc == 0)
		rc = wait_all(h, from, err);
	return rc < 0 ? rc : (int)(h->n - from);
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
