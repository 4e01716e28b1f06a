/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisord_rpc.h - supervisord asked at its control socket: XML-RPC over HTTP/1.0. Each call is
 * one connection, bounded in bytes and time. Source: supervisord.org/api.html (version 3.0).
 */
#ifndef MEMHERD_AGENT_ACT_SUPERVISORD_RPC_H
#define MEMHERD_AGENT_ACT_SUPERVISORD_RPC_H

#include <stdint.h>

#include "agent/act/supervisord.h"

#define SUPERVISORD_NAME_SIZE 128
#define SUPERVISORD_AUTH_SIZE 400

/* As it numbers them (supervisor/states.py). */
enum supervisord_state {
	SUPERVISORD_STOPPED = 0,
	SUPERVISORD_STARTING = 10,
	SUPERVISORD_RUNNING = 20,
	SUPERVISORD_BACKOFF = 30,
	SUPERVISORD_STOPPING = 40,
	SUPERVISORD_EXITED = 100,
	SUPERVISORD_FATAL = 200,
};

/* A program as it tells of it. */
struct supervisord_program {
	char group[SUPERVISORD_NAME_SIZE];
	char name[SUPERVISORD_NAME_SIZE];
	char full[2 * SUPERVISORD_NAME_SIZE]; /* 'group:name', as it is asked for */
	char shown[SUPERVISORD_NAME_SIZE]; /* the same, or 'name' where both are one; printable */
	int state;
	char state_name[32];
	char why[96]; /* its last failure to start, or "" */
	pid_t pid;    /* as supervisord knows it; 0 = none */
	/* Its configuration; -1 = not told (before 4.2). */
	int stop_signal;
	int stop_wait_sec;
	int start_sec;
};

struct supervisord_door {
	const struct supervisord *of;
	int socket; /* O_PATH */
	char path[SUPERVISORD_PATH_SIZE];
	char authorization[SUPERVISORD_AUTH_SIZE]; /* the header's line, or "" */
	int64_t until_us;                          /* boot clock: no call lasts longer */
};

/*
 * Finds the socket, and asks whether that supervisord answers there and is not ending. The
 * password, where it wants one, is from its configuration. -ENOENT, -ECONNREFUSED: there is none;
 * -EACCES: it does not let us in, -EPERM: it is not the one; other -errno.
 */
int supervisord_door_open(struct supervisord_door *d, const struct supervisord *s, int64_t until_us,
			  struct error *err) must_use;
void supervisord_door_close(struct supervisord_door *d);
/* The program with that pid, with its configuration. -ENOENT: it has none. */
int supervisord_look(const struct supervisord_door *d, pid_t pid, struct supervisord_program *ret,
		     struct error *err) must_use;
/* State and pid anew. */
int supervisord_look_again(const struct supervisord_door *d, struct supervisord_program *p,
			   struct error *err) must_use;
/* Both return at once; it is under way then. -EREMOTEIO: it will not. */
int supervisord_stop(const struct supervisord_door *d, const struct supervisord_program *p,
		     struct error *err) must_use;
int supervisord_start(const struct supervisord_door *d, const struct supervisord_program *p,
		      struct error *err) must_use;

#endif
