/* SPDX-License-Identifier: Apache-2.0 */
/* A master of an application server is never ended: it replaces its workers. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "agent/act/restart.h"
#include "common/clock.h"

#define LOOK_EVERY_MS 100
#define CHILDREN_MAX  512

struct child {
	pid_t pid;
	uint64_t start_ticks;
};

struct children {
	struct child at[CHILDREN_MAX];
	size_t n;
};

static void look(pid_t master, struct children *ret)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	ret->n = 0;
	while (d && ret->n < CHILDREN_MAX && (e = readdir(d))) {
		struct child *c = &ret->at[ret->n];
		struct process p;

		if (!isdigit((unsigned char)*e->d_name))
			continue;
		c->pid = (pid_t)strtol(e->d_name, NULL, 10);
		if (process_stat(c->pid, &p) < 0 || p.parent != master || p.state == 'Z')
			continue;
		c->start_ticks = p.start_ticks;
		ret->n++;
	}
	if (d)
		closedir(d);
}

static bool has_newborn(const struct restart *r, const struct children *all)
{
	bool found = false;

	for (size_t i = 0; i < all->n && !found; i++) {
		auto_process struct process p = {.pidfd = -1};

		found = process_open(all->at[i].pid, &p, NULL) == 0 &&
			pool_is_newborn(r->pool->server, &p);
	}
	return found;
}

static bool is_in(const struct children *all, const struct child *c)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].pid == c->pid && all->at[i].start_ticks == c->start_ticks)
			return true;
	return false;
}

/* How many of before are still there, and how many others have come. */
static void compare(const struct children *before, const struct children *now, size_t *ret_old,
		    size_t *ret_new)
{
	*ret_old = *ret_new = 0;
	for (size_t i = 0; i < now->n; i++) {
		if (is_in(before, &now->at[i]))
			++*ret_old;
		else
			++*ret_new;
	}
}

static int wait_for_new_ones(struct restart *r, const struct children *before, struct error *err)
{
	const struct process *p = r->process;
	struct children now;
	size_t old, new;

	for (;;) {
		if (process_ends_until(p, clock_boot_us() + LOOK_EVERY_MS * 1000))
			return error_set(err, -EIO, "process %d ended on SIGHUP", (int)p->pid);
		look(p->pid, &now);
		compare(before, &now, &old, &new);
		if (!old && new >= before->n)
			break;
		if (clock_boot_us() - r->began_us >= RESTART_BACK_US)
			return error_set(err, -ETIMEDOUT,
					 "process %d got SIGHUP; %zu of its %zu workers are still "
					 "ending after %d s, %zu new ones are there; none is "
					 "killed",
					 (int)p->pid, old, before->n,
					 (int)(RESTART_BACK_US / USEC_PER_SEC), new);
	}
	snprintf(r->said, sizeof(r->said), "%zu workers began in place of %zu", new, before->n);
	return 0;
}

static void plan(struct restart *r)
{
	if (r->pool->server == PROGRAM_UWSGI)
		snprintf(r->plan, sizeof(r->plan),
			 "its workers finish their requests, it loads itself anew under the same "
			 "pid and forks others; requests wait in the listen queue meanwhile");
	else
		snprintf(r->plan, sizeof(r->plan),
			 "it forks new workers, and the old ones finish their requests; both are "
			 "there for a moment; %s",
			 r->pool->preload ? "started with --preload, it keeps the code and the "
					    "memory that it loaded itself"
					  : "what it loaded itself (preload_app) stays");
}

int restart_master(struct restart *r, bool dry_run, struct error *err)
{
	const struct process *p = r->process;
	struct children before;
	int rc;

	look(p->pid, &before);
	if (before.n == 0)
		return error_set(err, -EPERM,
				 "it has no workers: it starts or ends just now; retry later");
	if (before.n == CHILDREN_MAX)
		return error_set(err, -EPERM, "it has more than %d children", CHILDREN_MAX - 1);
	if (has_newborn(r, &before))
		return error_set(err, -EBUSY,
				 "one of its children starts just now, or is a master of its own; "
				 "retry later");
	snprintf(r->by, sizeof(r->by), "SIGHUP to the %s master, which stays", pool_word(r->pool));
	plan(r);
	if (dry_run)
		return 0;
	rc = process_signal(p, SIGHUP, err);
	if (rc < 0)
		return rc;
	r->acted = true;
	rc = wait_for_new_ones(r, &before, err);
	if (rc == 0)
		poll(NULL, 0, (int)(RESTART_SETTLE_US / 1000));
	return rc;
}
