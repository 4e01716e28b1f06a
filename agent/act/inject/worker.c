/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/inject/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "common/clock.h"

#define RESULT_MAX     2048
#define HURRY_NICE     (-20)
#define HURRY_SLACK_NS 1000 /* of a sleep; 50000 by default */
#define WORKER_FD      3    /* the first after the standard ones */

struct answer {
	_Alignas(max_align_t) uint8_t result[RESULT_MAX];
	struct error err;
	int rc;
};
_Static_assert(sizeof(struct answer) <= PIPE_BUF, "one write arrives whole or not at all");

static void child(worker_fn fn, const void *arg, int fd, int64_t deadline_us)
{
	struct itimerval timer = {
		.it_value = {.tv_sec = deadline_us / USEC_PER_SEC,
			     .tv_usec = deadline_us % USEC_PER_SEC},
	};
	struct answer a = {0};
	sigset_t none;

	/* The daemon's socket and lock must not live on in a worker that outlives it. What cannot
	 * be closed is closed when the deadline ends the process. */
	if (dup2(fd, WORKER_FD) < 0)
		_exit(1);
	syscall(SYS_close_range, WORKER_FD + 1, ~0U, 0);
	/* The caller may have blocked or caught the alarm; here it must end the process. */
	signal(SIGALRM, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setitimer(ITIMER_REAL, &timer, NULL);
	a.rc = fn(arg, a.result, &a.err);
	if (write(WORKER_FD, &a, sizeof(a)) != (ssize_t)sizeof(a))
		_exit(1);
	_exit(0);
}

/* Waits for the answer: 1 when it came, 0 when the deadline passed or the child is gone. */
static int wait_answer(int fd, struct answer *a, int64_t until_us, bool *timed_out)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = until_us - clock_boot_us();
		int n = left > 0 ? poll(&p, 1, (int)(left / 1000) + 1) : 0;

		if (n < 0 && errno == EINTR)
			continue;
		*timed_out = n == 0;
		return n > 0 && read(fd, a, sizeof(*a)) == (ssize_t)sizeof(*a);
	}
}

int worker_run(worker_fn fn, const void *arg, void *result, size_t result_size, int64_t deadline_us,
	       struct error *err)
{
	/* The child's alarm is the first to go off; this is for a child that cannot be woken. */
	int64_t until = clock_boot_us() + deadline_us + USEC_PER_SEC / 2;
	auto_close int rd = -1;
	auto_close int wr = -1;
	bool timed_out = false;
	struct answer a;
	int fds[2];
	int status = 0;
	int answered;
	pid_t pid;

	if (result_size > RESULT_MAX)
		return error_set(err, -E2BIG, "result of %zu bytes is too long", result_size);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_sys(err, -errno, "cannot make a pipe");
	rd = fds[0];
	wr = fds[1];
	pid = fork();
	if (pid < 0)
		return error_sys(err, -errno, "cannot fork");
	if (pid == 0)
		child(fn, arg, wr, deadline_us);
	close(take_fd(wr));
	answered = wait_answer(rd, &a, until, &timed_out);
	if (!answered)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (answered) {
		memcpy(result, a.result, result_size);
		if (err)
			*err = a.err;
		return a.rc;
	}
	if (timed_out || (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM))
		return error_set(err, -ETIMEDOUT, "not done within %lld ms",
				 (long long)(deadline_us / 1000));
	return error_set(err, -ECHILD, "the worker ended by signal %d before it answered",
			 WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

void worker_hurry(bool on)
{
	static int usual;

	if (on) {
		errno = 0;
		usual = getpriority(PRIO_PROCESS, 0);
		prctl(PR_SET_TIMERSLACK, HURRY_SLACK_NS);
	}
	setpriority(PRIO_PROCESS, 0, on ? HURRY_NICE : usual);
}
