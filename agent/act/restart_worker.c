/* SPDX-License-Identifier: Apache-2.0 */
/* One worker of an application server ends as its server lets it, and its master forks another. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "agent/act/ending.h"
#include "agent/act/pool_idle.h"
#include "agent/act/restart.h"
#include "common/clock.h"

/* How a worker is told to finish what it does and end, and what that work sees. */
struct manner {
	int signal;
	const char *word;
	const char *in_flight;
};

static const struct manner *manner_of(const struct pool *pool)
{
	static const struct manner gunicorn = {
		SIGTERM, "SIGTERM",
		"it finishes the request at hand (a threaded or async one those within "
		"graceful_timeout) and takes no more"};
	static const struct manner uwsgi = {
		SIGHUP, "SIGHUP",
		"it finishes the request at hand, within worker-reload-mercy, and takes no more"};
	static const struct manner celery = {
		SIGTERM, "SIGTERM, once it waits for its next task",
		"the task at hand is finished before; a task that lasts longer has it left alone"};

	switch (pool->server) {
	case PROGRAM_GUNICORN:
		return &gunicorn;
	case PROGRAM_UWSGI:
		return &uwsgi;
	case PROGRAM_CELERY:
	case PROGRAM_NO_SERVER:
	case PROGRAM_SUPERVISORD:
		break;
	}
	return &celery;
}

static int check(const struct restart *r, struct error *err)
{
	const struct process *p = r->process;
	const struct process *master = &r->pool->parent;
	int rc = ending_check(r->options->journal, master->pid, err);

	if (rc < 0)
		return rc;
	if (master->state == 'Z' || master->state == 'X' || !process_alive(master))
		return error_set(err, -EPERM, "its master, process %d, has ended",
				 (int)master->pid);
	if (master->state == 'T' || master->state == 't')
		return error_set(err, -EPERM,
				 "its master, process %d, is stopped and would fork no other",
				 (int)master->pid);
	/* Children of celery's get their tasks over pipes. */
	if (r->pool->server != PROGRAM_CELERY && pool_shares_socket(p, master) == 0)
		return error_set(err, -EPERM,
				 "its master, process %d, has closed what it listened on: it shuts "
				 "down and would fork no other",
				 (int)master->pid);
	if (!process_catches(p, manner_of(r->pool)->signal))
		return error_set(err, -EPERM,
				 "it has no handler for the signal that ends it gracefully; it "
				 "starts just now, or is none; retry later");
	return 0;
}

/* Celery's only between two tasks. */
static int wait_for_turn(const struct restart *r, struct error *err)
{
	const struct process *p = r->process;
	int rc = r->pool->server == PROGRAM_CELERY
			 ? pool_idle_wait(p, &r->pool->parent, r->began_us + RESTART_END_US)
			 : 0;

	if (rc == -EBUSY)
		return error_set(err, rc,
				 "worker %d was busy with a task for %d s; nothing was sent; retry "
				 "later",
				 (int)p->pid, (int)(RESTART_END_US / USEC_PER_SEC));
	if (rc < 0)
		return error_sys(err, rc, "cannot tell whether worker %d has a task", (int)p->pid);
	return 0;
}

int restart_worker(struct restart *r, bool dry_run, struct error *err)
{
	const struct process *p = r->process;
	const struct manner *m = manner_of(r->pool);
	struct error noted = {""};
	int rc = check(r, err);

	if (rc < 0)
		return rc;
	snprintf(r->by, sizeof(r->by), "its %s master, process %d, after %s to the worker alone",
		 pool_word(r->pool), (int)r->pool->parent.pid, m->word);
	snprintf(r->plan, sizeof(r->plan), "%s", m->in_flight);
	if (dry_run)
		return 0;
	rc = wait_for_turn(r, err);
	if (rc == 0)
		rc = process_signal(p, m->signal, err);
	if (rc < 0)
		return rc;
	r->acted = true;
	if (process_ends_until(p, r->began_us + RESTART_ASKED_US))
		return 0;
	rc = ending_note(r->options->journal, p, &noted);
	return error_set(err, -ETIMEDOUT,
			 "worker %d was told to end and is still ending after %d s; it is not "
			 "killed%s%s",
			 (int)p->pid, (int)(RESTART_ASKED_US / USEC_PER_SEC), rc < 0 ? "; " : "",
			 noted.msg);
}
