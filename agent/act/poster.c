/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/poster.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/confine.h"
#include "common/unix_http.h"

#define ANSWER_MAX 16384 /* only its first line counts */
#define ASK_FD     3     /* the first after the standard ones */

struct ask {
	struct hook hook;
	int64_t deadline_us;
};

struct reply {
	int status; /* or -errno */
	struct error err;
};

size_t poster_request(char out[POSTER_REQUEST_SIZE], const struct hook *h)
{
	return (size_t)
		snprintf(out, POSTER_REQUEST_SIZE,
			 "POST %s HTTP/1.0\r\nHost: localhost\r\nUser-Agent: memherd-actd\r\n"
			 "Content-Length: 0\r\nConnection: close\r\n\r\n",
			 h->path);
}

/* ---- in the process ---- */

/* There is no other address. */
static int open_loopback(const struct hook *h)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(h->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(h->port)};
	auto_close int fd =
		socket(h->v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	v6.sin6_addr = in6addr_loopback;
	rc = h->v6 ? connect(fd, (const void *)&v6, sizeof(v6))
		   : connect(fd, (const void *)&v4, sizeof(v4));
	if (rc < 0 && errno != EINPROGRESS)
		return -errno;
	return take_fd(fd);
}

static int wait_connected(int fd, int64_t limit_us)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(int);
	int error = 0;

	if (poll(&p, 1, (int)(limit_us / 1000)) <= 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

static int ask_loopback(const struct ask *a, struct error *err)
{
	int64_t until_us = clock_boot_us() + a->deadline_us;
	auto_buf struct buf answer = BUF_INIT(ANSWER_MAX);
	auto_close int fd = open_loopback(&a->hook);
	char request[POSTER_REQUEST_SIZE];
	size_t body;
	int rc = fd < 0 ? fd : wait_connected(fd, a->deadline_us);

	if (rc < 0)
		return error_sys(err, rc, "cannot reach port %u of the loopback", a->hook.port);
	poster_request(request, &a->hook);
	rc = unix_http_exchange(fd, request, until_us, &answer);
	/* More than is wanted is no fault of it. */
	if (rc < 0 && rc != -EFBIG)
		return error_sys(err, rc, "no whole answer from port %u", a->hook.port);
	return unix_http_parse(answer.data, answer.len, &body, err);
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	if (syscall(SYS_capset, &head, none) < 0)
		_exit(1);
}

static _Noreturn void serve(int fd, pid_t parent)
{
	struct error err;
	struct ask a;

	if (dup2(fd, ASK_FD) < 0)
		_exit(1);
	syscall(SYS_close_range, ASK_FD + 1, ~0U, 0);
	signal(SIGINT, SIG_IGN);
	(void)prctl(PR_SET_NAME, "memherd-poster");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || chdir("/") < 0)
		_exit(1);
	drop_capabilities();
	if (confine(CONFINE_POSTER, &err) < 0)
		_exit(1);
	while (recv(ASK_FD, &a, sizeof(a), 0) == (ssize_t)sizeof(a)) {
		struct reply r = {.err = {""}};

		r.status = ask_loopback(&a, &r.err);
		if (send(ASK_FD, &r, sizeof(r), MSG_NOSIGNAL) != (ssize_t)sizeof(r))
			break;
	}
	_exit(0);
}

/* ---- of memherd-actd ---- */

int poster_start(struct error *err)
{
	pid_t parent = getpid();
	auto_close int ours = -1;
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return error_sys(err, -errno, "cannot make a pair of sockets");
	ours = fds[0];
	pid = fork();
	if (pid == 0)
		serve(fds[1], parent);
	close(fds[1]);
	if (pid < 0)
		return error_sys(err, -errno, "cannot start the asker of HTTP hooks");
	return take_fd(ours);
}

int poster_ask(int poster, const struct hook *h, int64_t deadline_us, struct error *err)
{
	const struct ask a = {.hook = *h, .deadline_us = deadline_us};
	struct pollfd p = {.fd = poster, .events = POLLIN};
	struct reply r;

	/* What an earlier asker did not wait for. */
	while (poster >= 0 && recv(poster, &r, sizeof(r), MSG_DONTWAIT) > 0)
		;
	if (poster < 0 || send(poster, &a, sizeof(a), MSG_NOSIGNAL) != (ssize_t)sizeof(a) ||
	    poll(&p, 1, (int)(2 * deadline_us / 1000)) <= 0 ||
	    recv(poster, &r, sizeof(r), 0) != (ssize_t)sizeof(r))
		return error_set(err, -EIO, "the process that asks HTTP hooks does not answer");
	*err = r.err;
	return r.status;
}
