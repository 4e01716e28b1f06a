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

#include "agent/act/journal.h"
#include "agent/act/leash.h"
#include "agent/act/oom_score.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define TURN_MS      1000
#define LAST_WAIT_US (2 * USEC_PER_SEC)
#define FDS_MAX      256 /* at its start memherd-actd has a few */

/* What became of limits, until it stands in the journal, which whoever acts holds meanwhile. */
struct notes {
	const char *journal;
	unsigned n;
	struct journal_entry at[LEASHES_MAX];
};

static void on_end(void *arg, const struct leash *one, const char *what)
{
	struct notes *notes = arg;
	struct journal_entry *e;

	if (notes->n == LEASHES_MAX)
		return;
	e = &notes->at[notes->n++];
	*e = (struct journal_entry){
		.t_wall_us = clock_wall_us(),
		.action =
			strcmp(one->file, OOM_SCORE_FILE) == 0 ? COMMAND_OOM_SCORE : COMMAND_LIMIT,
		.note = true,
		.pid = one->pid,
		.result = {.status = COMMAND_DONE,
			   .rss_before = -1,
			   .rss_after = -1,
			   .swap_before = -1,
			   .swap_after = -1},
	};
	memcpy(e->id, one->id, sizeof(e->id));
	memcpy(e->result.id, one->id, sizeof(e->result.id));
	(void)str_copy(e->result.detail, sizeof(e->result.detail), what);
}

static void write_notes(struct notes *notes, int64_t wait_us)
{
	struct journal *j = NULL;
	struct error err = {""};
	unsigned written = 0;
	int rc;

	if (!notes->n)
		return;
	rc = journal_open(notes->journal, &j, &err);
	if (rc == 0)
		rc = journal_lock(j, wait_us, &err);
	if (rc == 0) {
		while (rc == 0 && written < notes->n) {
			rc = journal_append(j, &notes->at[written], &err);
			written += rc == 0;
		}
		journal_unlock(j);
	}
	if (rc < 0 && rc != -EBUSY)
		log_warn("limits error='%s'", err.msg);
	journal_free(&j);
	notes->n -= written;
	memmove(notes->at, notes->at + written, notes->n * sizeof(notes->at[0]));
}

static _Noreturn void watch(struct leashes *l, struct notes *notes, pid_t parent)
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
	while (getppid() == parent && poll(&stop, 1, TURN_MS) == 0) {
		leashes_turn(l, clock_boot_us());
		write_notes(notes, 0);
	}
	leashes_drop(l, "memherd-actd has ended");
	write_notes(notes, LAST_WAIT_US);
	_exit(0);
}

int watch_start(const char *journal, struct error *err)
{
	struct leashes *l = calloc(1, sizeof(*l));
	struct notes *notes = calloc(1, sizeof(*notes));
	pid_t parent = getpid();
	pid_t pid;
	int fd;

	if (!l || !notes) {
		free(l);
		free(notes);
		return error_set(err, -ENOMEM, "no memory for limits");
	}
	notes->journal = journal;
	l->on_end = on_end;
	l->arg = notes;
	leashes_path(l->path, journal);
	leashes_drop(l, "memherd-actd had ended without notice");
	write_notes(notes, LAST_WAIT_US);
	pid = fork();
	if (pid == 0)
		watch(l, notes, parent);
	free(l);
	free(notes);
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
