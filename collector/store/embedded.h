/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embedded.h - a private PostgreSQL in a folder: found, made, started, watched, stopped.
 *
 * The server is a direct child that dies with the collector (PR_SET_PDEATHSIG). It listens on a
 * Unix socket in its own folder (0700) and nowhere else; who may connect is decided by peer
 * credentials: the server's user and the collector's. As root, the server runs as an unprivileged
 * user. One collector a folder (flock). fsync stays on: it holds a user's data.
 *
 * Starting is synchronous and done before the loop runs; afterwards the owner hands in a base and
 * a dead server is started again with back-off.
 */
#ifndef MEMHERD_COLLECTOR_STORE_EMBEDDED_H
#define MEMHERD_COLLECTOR_STORE_EMBEDDED_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/error.h"

struct embedded;
struct event_base;

struct embedded_config {
	const char *dir;     /* made when missing; absolute */
	const char *user;    /* when root: who runs the server; NULL = postgres, else nobody */
	const char *bin_dir; /* NULL = search; for tests and unusual places */
};

/* Finds the server's programs, makes the cluster at first use, starts the server and waits until it
 * answers. Messages name what to install, the version that the folder needs, or the end of the
 * server's log. */
int embedded_start(const struct embedded_config *cfg, struct embedded **ret,
		   struct error *err) must_use;
/* Watches the server from now on (SIGCHLD is not used: a pidfd is). */
int embedded_supervise(struct embedded *e, struct event_base *base, struct error *err) must_use;
/* Stops the server (fast shutdown, then harder) and waits for it. */
void embedded_free(struct embedded **e);

/* For db_new() and store_open(). */
const char *embedded_conninfo(const struct embedded *e);
/* Of the postmaster; 0 while it is down. */
pid_t embedded_pid(const struct embedded *e);
/* Folder of initdb, postgres, pg_dump of the version in use. */
const char *embedded_bin_dir(const struct embedded *e);
/* Times that the server was started again. */
unsigned embedded_restarts(const struct embedded *e);

#endif
