/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - a process's place in an application server that replaces its own workers: gunicorn,
 * uWSGI, celery's prefork pool. What it runs is told by its title or arguments, which are claims of
 * its own; who its parent is and which signals it has handlers for is told by the kernel, and
 * nothing is sent that would not fit these.
 *
 * Handlers, as gunicorn 20 to 23, uWSGI 2.0 and celery 5 install them: a gunicorn arbiter catches
 * SIGHUP, a worker does not; uWSGI's master catches SIGHUP and SIGQUIT, a worker SIGHUP alone, a
 * router or spooler neither; celery's main process catches SIGINT, its children do not.
 */
#ifndef MEMHERD_AGENT_ACT_POOL_H
#define MEMHERD_AGENT_ACT_POOL_H

#include "agent/act/process.h"
#include "agent/python/program.h"
#include "common/error.h"

enum pool_role {
	POOL_NONE,   /* nothing of it */
	POOL_MASTER, /* forks the workers */
	POOL_WORKER, /* its parent is the master */
	POOL_UNFIT,  /* belongs to one, and cannot be replaced: why says it */
};

/* What is known of a process; pure. */
struct pool_member {
	enum program_server server;
	enum wire_role title; /* what its title says it is */
	bool titled;          /* it has one: 'uWSGI http 1' */
	uint64_t caught;      /* as in struct process */
};

struct pool {
	enum program_server server;
	enum pool_role role;
	const char *why;                   /* POOL_UNFIT: a clause */
	enum program_server parent_server; /* what its parent runs */
	struct process parent;             /* pidfd -1 = it has none but init */
	bool preload;                      /* 'gunicorn --preload' as far as its arguments tell */
};

/* parent: NULL = init, or not of a server. alike: both have the same arguments. */
enum pool_role pool_judge(const struct pool_member *self, const struct pool_member *parent,
			  bool alike, const char **ret_why);

/* -ESRCH when it has ended meanwhile. */
int pool_find(const struct process *p, struct pool *ret, struct error *err) must_use;
void pool_fini(struct pool *pool);
/* Its parent, that still is it; ret is left as it was where it has none but init. -ESRCH: it ended
 * meanwhile, or its parent did. */
int pool_parent(const struct process *p, struct process *ret, struct error *err) must_use;
/* What it claims to run. */
enum program_server pool_server_of(const struct process *p);
/* 'gunicorn', 'uWSGI', 'celery'. */
const char *pool_word(const struct pool *pool);

/* Has a child of this server's master the master's own handlers? Then it was forked just now, and
 * its master's signal would be lost on it. */
bool pool_is_newborn(enum program_server server, const struct process *child);

/* Has the master a socket that its worker has too? It closes what it listens on before it ends. 1,
 * 0, -errno = cannot be read. */
int pool_shares_socket(const struct process *worker, const struct process *master) must_use;

static inline void auto_pool_(struct pool *pool)
{
	pool_fini(pool);
}
#define auto_pool __attribute__((cleanup(auto_pool_)))

#endif
