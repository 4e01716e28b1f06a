/* SPDX-License-Identifier: Apache-2.0 */
#include "common/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define FIRST_FREE_FD 3

int daemon_find_user(const char *name, struct daemon_user *ret, struct error *err)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(name);
	if (!pw)
		return error_set(err, -ENOENT, "no user '%s' on this system", name);
	*ret = (struct daemon_user){.uid = pw->pw_uid, .gid = pw->pw_gid};
	return 0;
}

unsigned daemon_find_group(const char *name, gid_t *ret)
{
	const struct group *gr = getgrnam(name);

	if (!gr)
		return 0;
	*ret = gr->gr_gid;
	return 1;
}

static int switch_user(const struct daemon_user *u, struct error *err)
{
	gid_t groups[1 + DAEMON_GROUPS_MAX] = {u->gid};

	memcpy(groups + 1, u->groups, u->n_groups * sizeof(*groups));
	/* Capabilities survive the change so that the wanted ones can be picked afterwards. */
	if (prctl(PR_SET_KEEPCAPS, 1L, 0L, 0L, 0L) < 0)
		return error_sys(err, -errno, "cannot keep capabilities");
	if (setgroups(1 + u->n_groups, groups) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
	    setresuid(u->uid, u->uid, u->uid) < 0)
		return error_sys(err, -errno, "cannot become uid %u gid %u", (unsigned)u->uid,
				 (unsigned)u->gid);
	return 0;
}

/* Permitted, effective and inheritable become exactly what caps and our permitted set share. */
static int limit_caps(uint64_t caps, struct error *err)
{
	cap_t have = cap_get_proc();
	cap_t want = cap_init();
	int rc = have && want ? 0 : -ENOMEM;

	for (int c = 0; !rc && c <= CAP_LAST_CAP; c++) {
		cap_value_t v = c;
		cap_flag_value_t held = CAP_CLEAR;

		if (!(caps & DAEMON_CAP(c)) || cap_get_flag(have, v, CAP_PERMITTED, &held) < 0 ||
		    held != CAP_SET)
			continue;
		if (cap_set_flag(want, CAP_PERMITTED, 1, &v, CAP_SET) < 0 ||
		    cap_set_flag(want, CAP_EFFECTIVE, 1, &v, CAP_SET) < 0)
			rc = -errno;
	}
	/* Lowering the inheritable set lowers the ambient one with it: capabilities(7). */
	if (!rc && cap_set_proc(want) < 0)
		rc = -errno;
	cap_free(have);
	cap_free(want);
	return rc < 0 ? error_sys(err, rc, "cannot limit capabilities") : 0;
}

uint64_t daemon_caps(void)
{
	cap_t have = cap_get_proc();
	uint64_t set = 0;

	for (int c = 0; have && c <= CAP_LAST_CAP; c++) {
		cap_flag_value_t held = CAP_CLEAR;

		if (cap_get_flag(have, c, CAP_EFFECTIVE, &held) == 0 && held == CAP_SET)
			set |= DAEMON_CAP(c);
	}
	cap_free(have);
	return set;
}

int daemon_become(const struct daemon_user *user, uint64_t caps, struct error *err)
{
	int rc;

	if (user && geteuid() == 0) {
		rc = switch_user(user, err);
		if (rc < 0)
			return rc;
	}
	rc = limit_caps(caps, err);
	if (rc < 0)
		return rc;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0)
		return error_sys(err, -errno, "cannot set no_new_privs");
	if ((daemon_caps() & ~caps) || (user && user->uid != 0 && geteuid() == 0))
		return error_set(err, -EPERM, "could not give up privileges");
	return 0;
}

int daemon_die_with(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0L, 0L, 0L) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

void daemon_hide_memory(void)
{
#ifndef MEMHERD_ASAN /* LeakSanitizer attaches to its own process */
	prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
#endif
}

int daemon_keep_fds(int *const fds[], size_t n)
{
	int aside[DAEMON_FDS_MAX];
	int next = FIRST_FREE_FD;

	if (n > DAEMON_FDS_MAX)
		return -EINVAL;
	/* Out of the way first: one may lie where another is to go. */
	for (size_t i = 0; i < n; i++) {
		aside[i] = *fds[i] < 0 ? -1 : fcntl(*fds[i], F_DUPFD, FIRST_FREE_FD + (int)n);
		if (*fds[i] >= 0 && aside[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i < n; i++) {
		if (aside[i] < 0)
			continue;
		if (dup2(aside[i], next) < 0)
			return -errno;
		*fds[i] = next++;
	}
	return close_range((unsigned)next, ~0U, 0) < 0 ? -errno : 0;
}

void daemon_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	auto_close int fd = -1;
	size_t len;

	if (!path || (*path != '/' && *path != '@'))
		return;
	len = strlen(path);
	if (len >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, len);
	if (*path == '@') /* the abstract namespace */
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const void *)&to,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return; /* systemd not listening is no trouble of ours */
}
