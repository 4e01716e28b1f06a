/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restart.h - the action 'restart': whoever supervises the process starts it again. A worker of an
 * application server alone, by its master; a master has its workers replaced; a program of
 * supervisord by that; a unit by systemd, a container by its engine; a process with none of them
 * gets SIGTERM, never SIGKILL, and somebody else is watched starting another. Tells who came back,
 * and what it takes.
 *
 * restart.c decides and tells; each way of doing it is one file. All of it ends within
 * COMMAND_LIMIT_SEC.
 */
#ifndef MEMHERD_AGENT_ACT_RESTART_H
#define MEMHERD_AGENT_ACT_RESTART_H

#include "agent/act/action.h"
#include "agent/act/pool.h"
#include "agent/act/process.h"
#include "agent/act/supervisord.h"
#include "proto/command.h"

#define RESTART_END_US    (12 * INT64_C(1000000)) /* for a bare process to end */
#define RESTART_ASKED_US  (18 * INT64_C(1000000)) /* for systemd or an engine to do it */
#define RESTART_BACK_US   (22 * INT64_C(1000000)) /* for somebody to be there again, of the whole */
#define RESTART_SETTLE_US (1 * INT64_C(1000000))  /* for it to load what it needs */

struct restart {
	const struct process *process;
	const struct act_options *options;
	const struct pool *pool;           /* its place in an application server */
	const struct supervisord *program; /* whose program it belongs to, NULL = nobody's */
	int64_t began_us;                  /* clock_boot_us() */
	bool acted;     /* something was sent: from here on the process may end */
	char by[320];   /* who does it: 'systemd, unit shop.service' */
	pid_t came;     /* who is known to have taken its place, 0 = to be looked for */
	char plan[256]; /* what the work at hand sees of it, or "" */
	char said[160]; /* what the one who does it says of it afterwards, or "" */
};

void restart_run(const struct process *p, const struct action_order *o, struct command_result *ret);

/*
 * One way each: with dry_run looks whether it could be done and fills 'by'; otherwise does it, and
 * returns when the process was ended and its supervisor is done. -ETIMEDOUT: it is still under way.
 */
int restart_unit(struct restart *r, bool dry_run, struct error *err) must_use;
int restart_container(struct restart *r, bool dry_run, struct error *err) must_use;
int restart_bare(struct restart *r, bool dry_run, struct error *err) must_use;
/* A program of supervisord. */
int restart_program(struct restart *r, bool dry_run, struct error *err) must_use;
int restart_worker(struct restart *r, bool dry_run, struct error *err) must_use;
/* The process stays; returns when its workers are others. */
int restart_master(struct restart *r, bool dry_run, struct error *err) must_use;

#endif
