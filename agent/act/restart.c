/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/restart.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/act/action.h"
#include "agent/act/successor.h"
#include "common/clock.h"
#include "common/str.h"

_Static_assert(RESTART_END_US < RESTART_BACK_US && RESTART_ASKED_US < RESTART_BACK_US &&
		       RESTART_BACK_US + RESTART_SETTLE_US < COMMAND_LIMIT_SEC * INT64_C(1000000),
	       "it ends within an action's time");

typedef int restart_way(struct restart *r, bool dry_run, struct error *err);

static restart_way *way_of_kind(const struct process *p)
{
	switch (p->supervisor.kind) {
	case SUPERVISOR_UNIT:
		return restart_unit;
	case SUPERVISOR_CONTAINER:
		return restart_container;
	case SUPERVISOR_BARE:
	case SUPERVISOR_PARENT:
		return restart_bare;
	case SUPERVISOR_OTHER:
		break;
	}
	return NULL;
}

/* Celery's main process ends, once its tasks are done: only where somebody is known to start it
 * again. */
static bool comes_back(const struct process *p, const struct pool *pool)
{
	if (p->supervisor.kind == SUPERVISOR_BARE)
		return false;
	return p->supervisor.kind != SUPERVISOR_PARENT || strcmp(pool->parent.comm, "runsv") == 0 ||
	       strcmp(pool->parent.comm, "s6-supervise") == 0;
}

/* The narrowest way first: one worker, one server, one program, all of the unit. NULL and a
 * reason. */
static restart_way *way_of(const struct process *p, const struct pool *pool,
			   const struct supervisord *program, struct error *err)
{
	restart_way *way = NULL;

	if (pool->role == POOL_UNFIT)
		error_set(err, -EPERM, "%s is left alone: %s", pool_word(pool), pool->why);
	else if (pool->role == POOL_WORKER)
		return restart_worker;
	else if (pool->role == POOL_MASTER && pool->server != PROGRAM_CELERY)
		way = restart_master;
	else if (program)
		return restart_program;
	else if (pool->role == POOL_MASTER && !comes_back(p, pool))
		error_set(err, -EPERM,
			  "the main process of celery would end, and nobody is known who starts it "
			  "again: no systemd, container engine, supervisord, runit or s6; its "
			  "workers can be replaced");
	else
		way = way_of_kind(p);
	if (way && p->supervisor.kind == SUPERVISOR_OTHER)
		way = NULL;
	if (!way && !*err->msg)
		error_set(err, -EPERM, "restarted by %s, which memherd does not ask",
			  p->supervisor.name);
	return way;
}

/* Who is there now. -EIO: nobody. */
static int see_who_came(const struct restart *r, const struct successor_like *like,
			struct successor *ret, struct error *err)
{
	if (successor_wait(like, r->began_us + RESTART_BACK_US, RESTART_SETTLE_US, ret) == 0)
		return 0;
	return error_set(err, -EIO, "process %d was ended, and nobody took its place within %d s",
			 (int)r->process->pid, (int)(RESTART_BACK_US / USEC_PER_SEC));
}

static void say_done(const struct restart *r, const struct successor *now,
		     struct command_result *ret)
{
	char was[STR_UNIT_SIZE];
	char is[STR_UNIT_SIZE];

	ret->rss_after = now->memory.rss;
	ret->swap_after = now->memory.swap;
	if (r->process->pid == now->pid) {
		action_say(ret, COMMAND_DONE, "reloaded by %s: %s; it has %s", r->by, r->said,
			   str_bytes(is, now->memory.rss));
		return;
	}
	action_say(ret, COMMAND_DONE,
		   "restarted by %s: process %d with %s in place of %d with %s%s%s", r->by,
		   (int)now->pid, str_bytes(is, now->memory.rss), (int)r->process->pid,
		   str_bytes(was, ret->rss_before), *r->said ? "; " : "", r->said);
}

/* What was begun and did not come to its end: whether the process is there still is told too. */
static void say_failed(const struct restart *r, int rc, const char *why, struct command_result *ret)
{
	struct process_memory m = {0};
	bool lives = process_memory(r->process, &m, NULL) == 0;

	if (!r->acted) {
		action_say(ret,
			   rc == -ENOENT || rc == -EINVAL || rc == -EPERM || rc == -EBUSY
				   ? COMMAND_REFUSED
				   : COMMAND_FAILED,
			   "%s", why);
		return;
	}
	ret->rss_after = m.rss;
	ret->swap_after = m.swap;
	action_say(ret, lives ? COMMAND_UNKNOWN : COMMAND_FAILED, "%s", why);
}

static void say_dry(const struct restart *r, restart_way *way, struct command_result *ret)
{
	char rss[STR_UNIT_SIZE];

	str_bytes(rss, ret->rss_before);
	if (way == restart_bare && r->process->supervisor.kind == SUPERVISOR_BARE)
		action_say(ret, COMMAND_DRY_RUN,
			   "would get SIGTERM; nobody is known who starts it again; RSS is %s",
			   rss);
	else
		action_say(ret, COMMAND_DRY_RUN, "would be %s by %s%s%s; RSS is %s",
			   way == restart_master ? "reloaded" : "restarted", r->by,
			   *r->plan ? ": " : "", r->plan, rss);
}

/* Its workers are others; the process is the one that it was. */
static int do_reload(struct restart *r, struct command_result *ret, struct error *err)
{
	struct successor now = {.pid = r->process->pid};
	int rc = restart_master(r, false, err);

	if (rc == 0)
		rc = process_memory(r->process, &now.memory, err);
	if (rc == 0)
		say_done(r, &now, ret);
	return rc;
}

static int do_it(struct restart *r, restart_way *way, struct command_result *ret, struct error *err)
{
	struct successor_like like;
	struct successor now;
	int rc;

	if (way == restart_master)
		return do_reload(r, ret, err);
	successor_expect(&like, r->process, way == restart_worker);
	rc = way(r, false, err);
	like.only = r->came;
	/* What was below a program of supervisord has another parent then. */
	if (way == restart_program && r->process->pid != r->program->program.pid)
		like.parent = 0;
	if (rc == 0)
		rc = see_who_came(r, &like, &now, err);
	if (rc == 0)
		say_done(r, &now, ret);
	return rc;
}

void restart_run(const struct process *p, const struct action_order *o, struct command_result *ret)
{
	struct restart r = {.process = p, .options = o->options, .began_us = clock_boot_us()};
	auto_pool struct pool pool = {.parent = {.pidfd = -1}};
	auto_supervisord struct supervisord above = {.master = {.pidfd = -1},
						     .program = {.pidfd = -1}};
	struct process_memory before;
	struct error err = {""};
	restart_way *way = NULL;
	int rc = pool_find(p, &pool, &err);

	r.pool = &pool;
	if (rc == 0)
		rc = supervisord_find(p, &above, &err);
	r.program = rc > 0 ? &above : NULL;
	if (rc >= 0)
		way = way_of(p, &pool, r.program, &err);
	if (!way || process_memory(p, &before, &err) < 0) {
		action_say(ret, COMMAND_REFUSED, "%s", err.msg);
		return;
	}
	ret->rss_before = before.rss;
	ret->swap_before = before.swap;
	rc = o->dry_run ? way(&r, true, &err) : do_it(&r, way, ret, &err);
	ret->total_us = clock_boot_us() - r.began_us;
	if (rc < 0)
		say_failed(&r, rc, err.msg, ret);
	else if (o->dry_run)
		say_dry(&r, way, ret);
}
