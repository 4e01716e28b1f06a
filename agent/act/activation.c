/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/str.h"

#define FIRST_FD 3

static int option(int fd, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	return getsockopt(fd, SOL_SOCKET, name, &v, &len) < 0 ? -1 : v;
}

static int check(int fd, const char *path, struct error *err)
{
	struct sockaddr_un a = {0};
	socklen_t len = sizeof(a);

	if (option(fd, SO_DOMAIN) != AF_UNIX || option(fd, SO_TYPE) != SOCK_SEQPACKET ||
	    option(fd, SO_ACCEPTCONN) != 1)
		return error_set(err, -EINVAL,
				 "what the service manager passed is no listening SOCK_SEQPACKET "
				 "socket of the file system");
	if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return error_sys(err, -errno, "cannot ask what the passed socket listens on");
	if (strncmp(a.sun_path, path, sizeof(a.sun_path)) != 0)
		return error_set(err, -EINVAL,
				 "the passed socket listens on '%.*s', the configuration says '%s'",
				 (int)sizeof(a.sun_path), a.sun_path, path);
	return 0;
}

/* How many were passed to this very process. */
static int64_t passed(void)
{
	const char *pid = getenv("LISTEN_PID");
	const char *fds = getenv("LISTEN_FDS");
	int64_t to = 0;
	int64_t n = 0;

	if (!pid || !fds || str_parse_int(pid, &to) < 0 || to != getpid() ||
	    str_parse_int(fds, &n) < 0)
		return 0;
	return n;
}

int activation_take(const char *path, struct error *err)
{
	int64_t n = passed();
	int rc;

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (n == 0)
		return -ENOENT;
	if (n != 1)
		return error_set(err, -EINVAL, "the service manager passed %lld sockets, not one",
				 (long long)n);
	rc = check(FIRST_FD, path, err);
	if (rc < 0)
		return rc;
	if (fcntl(FIRST_FD, F_SETFD, FD_CLOEXEC) < 0 || fcntl(FIRST_FD, F_SETFL, O_NONBLOCK) < 0)
		return error_sys(err, -errno, "cannot set up the passed socket");
	return FIRST_FD;
}
