/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.h - what a long-running process does to itself: becomes an unprivileged user with only the
 * capabilities it needs, dies with its parent, keeps no descriptor it was not meant to have, tells
 * systemd that it is up.
 *
 * Called between fork and the process's real work, from a single thread. Nothing here can be
 * undone.
 */
#ifndef MEMHERD_COMMON_DAEMON_H
#define MEMHERD_COMMON_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

#define DAEMON_GROUPS_MAX 4

struct daemon_user {
	uid_t uid;
	gid_t gid;
	gid_t groups[DAEMON_GROUPS_MAX]; /* beside gid */
	unsigned n_groups;
};

#define DAEMON_CAP(number) (UINT64_C(1) << (number)) /* of <linux/capability.h> */

/* -ENOENT for a name that the system does not know. */
int daemon_find_user(const char *name, struct daemon_user *ret, struct error *err) must_use;
/* 1 with the group of that name, 0 when the system knows none. */
unsigned daemon_find_group(const char *name, gid_t *ret);
/*
 * As root: leaves root for user, its groups included. Then, whoever we are: keeps of the
 * capabilities held only those in caps (DAEMON_CAP bits), makes sure that no exec can give more
 * (no_new_privs) and reads back that it is so. user may be NULL: stay who we are.
 */
int daemon_become(const struct daemon_user *user, uint64_t caps, struct error *err) must_use;
/* The effective capabilities as DAEMON_CAP bits. */
uint64_t daemon_caps(void);
/* SIGKILL for us when parent ends; -ESRCH when it has ended already. After daemon_become(): a
 * change of user clears it. */
int daemon_die_with(pid_t parent) must_use;
/* No core dump, no ptrace and no /proc/PID/mem for other processes of the same user. */
void daemon_hide_memory(void);
/* Moves the n descriptors (at most DAEMON_FDS_MAX; those that are -1 stay so) to 3 and above, in
 * their order, writes where each is now, and closes everything else but the standard ones. */
#define DAEMON_FDS_MAX 8
int daemon_keep_fds(int *const fds[], size_t n) must_use;
/* sd_notify(3) without the library: a datagram such as "READY=1" to $NOTIFY_SOCKET, if set. */
void daemon_notify(const char *state);

#endif
