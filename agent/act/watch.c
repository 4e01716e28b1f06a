/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/act/leash.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define TURN_MS 1000
#define FDS_MAX 256 /* at its start memherd-actd has a few */

static _Noreturn void watch(struct leashes *l, pid_t parent)
{
	sigset_t set;
	struct pollfd stop = {.events = POLLIN};

	/* Above all the socket: whoever comes after a killed memherd-actd must find it free. */
	for (int fd = STDERR_FILENO + 1; fd < FDS_MAX; fd++)
		close(fd);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	stop.fd = signalfd(-1, &set, SFD_CLOEXEC);
	/* A terminal's Ctrl-C reaches us too; the parent's end is what counts. */
	if (stop.fd < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		_exit(1);
	(void)prctl(PR_SET_NAME, "memherd-limits");
	while (getppid() == parent && poll(&stop, 1, TURN_MS) == 0)
		leashes_turn(l, clock_boot_us());
	leashes_drop(l, "memherd-actd has ended");
	_exit(0);
}

int watch_start(const char *journal, struct error *err)
{
	struct leashes *l = calloc(1, sizeof(*l));
	pid_t parent = getpid();
	pid_t pid;
	int fd;

	if (!l)
		return error_set(err, -ENOMEM, "no memory for limits");
	leashes_path(l->path, journal);
	leashes_drop(l, "memherd-actd had ended without notice");
	pid = fork();
	if (pid == 0)
		watch(l, parent);
	free(l);
	if (pid < 0)
		return error_sys(err, -errno, "cannot start the watcher of limits");
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return fd < 0 ? error_sys(err, -errno, "cannot watch the watcher of limits") : fd;
}

void watch_stop(int *pidfd)
{
	siginfo_t info;

	if (*pidfd < 0)
		return;
	(void)syscall(SYS_pidfd_send_signal, *pidfd, SIGTERM, NULL, 0);
	(void)waitid(P_PIDFD, (id_t)*pidfd, &info, WEXITED);
	close(*pidfd);
	*pidfd = -1;
}

int watch_check(const char *socket_path, struct error *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && str_copy(a.sun_path, sizeof(a.sun_path), socket_path) &&
	    (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno == EAGAIN))
		return 0;
	return error_set(err, -ENOTCONN,
			 "no memherd-actd runs that would take the limit back (socket '%s')",
			 socket_path);
}
