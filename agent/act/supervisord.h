/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisord.h - a supervisord above a process: which one, which of its programs the process
 * belongs to, and the Unix socket at which it can be asked.
 *
 * Who is whose parent the kernel tells. That the parent is a supervisord its arguments claim; so
 * nothing is sent that could harm anybody but what claims it: the socket is one that this very
 * process listens on (its descriptors and /proc/PID/net/unix), opened below its own root, made by
 * it or its user (SO_PEERCRED), and answers with this process's pid (supervisord_rpc.h).
 */
#ifndef MEMHERD_AGENT_ACT_SUPERVISORD_H
#define MEMHERD_AGENT_ACT_SUPERVISORD_H

#include "agent/act/process.h"
#include "common/error.h"

#define SUPERVISORD_PATH_SIZE 108 /* of a Unix socket */
/* Shells and wrappers between a program of supervisord and the process. */
#define SUPERVISORD_ABOVE_MAX 8
/* Pid namespaces in each other; the kernel's own bound is 32. */
#define SUPERVISORD_NESTED_MAX 33

struct supervisord {
	struct process master;  /* the supervisord; pidfd -1 = none */
	struct process program; /* its child: the process itself, or what the process is below */
	pid_t master_pid;       /* as it knows itself, in its own pid namespace */
	pid_t program_pid;      /* as it knows it */
};

/* 1 = found, 0 = there is none above it; -ESRCH: somebody of them ended just now. */
int supervisord_find(const struct process *p, struct supervisord *ret, struct error *err) must_use;
void supervisord_fini(struct supervisord *s);
/* A child of it by the pid that it tells; -ESRCH. */
int supervisord_child(const struct supervisord *s, pid_t told, struct process *ret) must_use;

/* Opens a path as that process sees it, never above its root; flags as openat2(2)'s. The
 * descriptor, or -errno. */
int supervisord_open(const struct supervisord *s, const char *path, int flags) must_use;
/*
 * The control socket as a path that can be connected to, by the descriptor that the caller closes;
 * ret_path: what it is called there. -ENOENT: it listens on no Unix socket.
 */
int supervisord_socket(const struct supervisord *s, char ret_path[SUPERVISORD_PATH_SIZE],
		       struct error *err) must_use;
/* Is the one who listens there this supervisord, or its user's? fd is connected. */
int supervisord_check_peer(const struct supervisord *s, int fd, struct error *err) must_use;

/* Pure: the pid of a 'NSpid:' line in the namespace that is 'level' deep, 0 = none. *ret_levels:
 * how deep it goes. */
pid_t supervisord_nspid(const char *status, unsigned level, unsigned *ret_levels);
/* Pure: one line of /proc/PID/net/unix; false unless a stream socket with a path listens. The
 * '.PID' that supervisord binds with is cut off. */
bool supervisord_parse_unix(const char *line, uint64_t *ret_inode,
			    char ret_path[SUPERVISORD_PATH_SIZE]);

static inline void auto_supervisord_(struct supervisord *s)
{
	supervisord_fini(s);
}
#define auto_supervisord __attribute__((cleanup(auto_supervisord_)))

#endif
