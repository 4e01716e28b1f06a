/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manager.h - systemd's PID 1, asked over D-Bus about one unit and to restart it.
 *
 * Its private socket first: it is there without a message bus, and lets nobody but root in. Each
 * call is bounded by MANAGER_CALL_US. Interface: org.freedesktop.systemd1(5).
 */
#ifndef MEMHERD_AGENT_ACT_MANAGER_H
#define MEMHERD_AGENT_ACT_MANAGER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/act/sdbus.h"
#include "agent/act/supervisor.h"
#include "common/error.h"

#define MANAGER_CALL_US   2000000
#define MANAGER_PATH_SIZE 256
#define MANAGER_WORD_SIZE 32

struct manager {
	struct sdbus lib;
	struct sd_bus *bus;
};

struct manager_unit {
	char path[MANAGER_PATH_SIZE]; /* of its D-Bus object */
	char id[SUPERVISOR_NAME_SIZE];
	char state[MANAGER_WORD_SIZE];  /* ActiveState: 'active', 'failed', ... */
	char result[MANAGER_WORD_SIZE]; /* of its last run: 'success', 'exit-code', ... */
	uint32_t main_pid;              /* 0 = none */
};

/* -ENOENT when systemd is not there. */
int manager_open(struct manager *m, struct error *err) must_use;
void manager_close(struct manager *m);
/* The unit that systemd itself says the process belongs to. */
int manager_unit_of(struct manager *m, pid_t pid, struct manager_unit *ret,
		    struct error *err) must_use;
/* Reads state, result and main process anew. */
int manager_look(struct manager *m, struct manager_unit *u, struct error *err) must_use;
/* Asks for it and returns at once; not over another job that is queued. ret_job: its object. */
int manager_restart(struct manager *m, const struct manager_unit *u,
		    char ret_job[MANAGER_PATH_SIZE], struct error *err) must_use;
/* True while the job is queued or runs. */
bool manager_job_runs(struct manager *m, const char *job);

#endif
