/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/pool.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/fs.h"
#include "common/str.h"

#define ARGUMENTS_MAX 4096
#define SOCKETS_MAX   256

/* ---- what it is, pure ---- */

static bool catches(const struct pool_member *m, int signal)
{
	return m->caught >> (signal - 1) & 1;
}

static bool is_master(const struct pool_member *m)
{
	switch (m->server) {
	case PROGRAM_GUNICORN:
		return catches(m, SIGHUP);
	case PROGRAM_UWSGI:
		return catches(m, SIGHUP) && catches(m, SIGQUIT);
	case PROGRAM_CELERY:
		return catches(m, SIGINT);
	case PROGRAM_NO_SERVER:
	case PROGRAM_SUPERVISORD:
		break;
	}
	return false;
}

static enum pool_role unfit(const char *why, const char **ret_why)
{
	*ret_why = why;
	return POOL_UNFIT;
}

/* Its parent is a master of the same server. */
static enum pool_role judge_child(const struct pool_member *self, bool alike, const char **ret_why)
{
	if (self->title == WIRE_ROLE_WORKER)
		return POOL_WORKER;
	/* A vassal of an emperor has a file of its own. */
	if (is_master(self) && self->server == PROGRAM_UWSGI && !alike)
		return POOL_MASTER;
	if (is_master(self))
		return unfit("it starts just now, or takes over from its own master; retry later",
			     ret_why);
	if (self->server == PROGRAM_UWSGI && (self->titled || !catches(self, SIGHUP)))
		return unfit("it is a router or a helper of uWSGI, not a worker", ret_why);
	return POOL_WORKER;
}

enum pool_role pool_judge(const struct pool_member *self, const struct pool_member *parent,
			  bool alike, const char **ret_why)
{
	bool of_it = parent && parent->server == self->server;

	*ret_why = "";
	if (self->server == PROGRAM_NO_SERVER || self->server == PROGRAM_SUPERVISORD)
		return POOL_NONE;
	if (of_it && is_master(parent))
		return judge_child(self, alike, ret_why);
	if (is_master(self) && self->title != WIRE_ROLE_WORKER)
		return POOL_MASTER;
	/* What a worker forks is the worker's own. */
	if (of_it && self->title != WIRE_ROLE_WORKER)
		return POOL_NONE;
	/* A single uWSGI without a master has none to lose. */
	if (self->server == PROGRAM_UWSGI && self->title != WIRE_ROLE_WORKER)
		return POOL_NONE;
	return unfit("it is a worker whose master has ended, or a master that starts or ends; "
		     "nobody would take its place",
		     ret_why);
}

/* ---- what it is, from /proc ---- */

struct arguments {
	char text[ARGUMENTS_MAX];
	size_t len;
};

static void read_arguments(pid_t pid, struct arguments *a)
{
	char path[32];
	auto_close int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, a->text, sizeof(a->text) - 1);
	a->len = n > 0 ? (size_t)n : 0;
	a->text[a->len] = '\0';
}

static struct pool_member member_of(const struct process *p, const struct arguments *a)
{
	const struct program program = {p->exe, a->text, a->len};

	return (struct pool_member){
		.server = program_server(&program),
		.title = program_role(&program),
		.titled = str_starts(a->text, "uWSGI "),
		.caught = p->caught,
	};
}

int pool_parent(const struct process *p, struct process *ret, struct error *err)
{
	auto_process struct process again = {.pidfd = -1};
	int rc = p->parent > 1 ? process_open(p->parent, ret, NULL) : -ESRCH;

	if (rc < 0)
		return 0;
	/* It was read after the child: it is the parent only if it still is. */
	rc = process_open(p->pid, &again, err);
	if (rc == 0 && (again.start_ticks != p->start_ticks || again.parent != p->parent))
		rc = error_set(err, -ESRCH, "the parent of process %d ended just now", (int)p->pid);
	return rc;
}

enum program_server pool_server_of(const struct process *p)
{
	struct arguments a;

	read_arguments(p->pid, &a);
	return member_of(p, &a).server;
}

int pool_find(const struct process *p, struct pool *ret, struct error *err)
{
	struct pool pool = {.why = "", .parent = {.pidfd = -1}};
	struct arguments mine;
	struct arguments theirs = {.len = 0};
	struct pool_member self;
	struct pool_member parent = {.server = PROGRAM_NO_SERVER};
	int rc = pool_parent(p, &pool.parent, err);

	if (rc < 0) {
		pool_fini(&pool);
		return rc;
	}
	read_arguments(p->pid, &mine);
	self = member_of(p, &mine);
	if (pool.parent.pidfd > 0 && pool.parent.state != 'Z') {
		read_arguments(pool.parent.pid, &theirs);
		parent = member_of(&pool.parent, &theirs);
	}
	pool.server = self.server;
	pool.parent_server = parent.server;
	pool.role =
		pool_judge(&self, pool.parent.pidfd > 0 ? &parent : NULL,
			   mine.len == theirs.len && memcmp(mine.text, theirs.text, mine.len) == 0,
			   &pool.why);
	pool.preload = memmem(mine.text, mine.len, "\0--preload", strlen("--preload") + 2) != NULL;
	*ret = pool;
	return 0;
}

void pool_fini(struct pool *pool)
{
	process_fini(&pool->parent);
}

const char *pool_word(const struct pool *pool)
{
	switch (pool->server) {
	case PROGRAM_GUNICORN:
		return "gunicorn";
	case PROGRAM_UWSGI:
		return "uWSGI";
	case PROGRAM_CELERY:
		return "celery";
	case PROGRAM_SUPERVISORD:
		return "supervisord";
	case PROGRAM_NO_SERVER:
		break;
	}
	return "";
}

bool pool_is_newborn(enum program_server server, const struct process *child)
{
	return is_master(&(struct pool_member){.server = server, .caught = child->caught});
}

/* ---- sockets ---- */

int pool_shares_socket(const struct process *worker, const struct process *master)
{
	uint64_t mine[SOCKETS_MAX];
	uint64_t theirs[SOCKETS_MAX];
	int n = process_sockets(worker->pid, mine, SOCKETS_MAX);
	int m = n < 0 ? n : process_sockets(master->pid, theirs, SOCKETS_MAX);

	for (int i = 0; i < n && m > 0; i++)
		for (int k = 0; k < m; k++)
			if (mine[i] == theirs[k])
				return 1;
	return m < 0 ? m : n == SOCKETS_MAX;
}
