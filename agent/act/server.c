/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "agent/act/activation.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"
#include "proto/host_news.h"

#define CLIENTS_MAX 16
#define BACKLOG     8

struct server {
	struct sockaddr_un address;
	bool bound;
	int listener;
	int clients[CLIENTS_MAX]; /* -1 = free */
	uid_t uid;
	struct gate *gate;
};

static int open_socket(void)
{
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* A file that a dead one left behind is taken away; a live one's, or no socket at all, is not. */
static int clear_stale(const struct sockaddr_un *a, struct error *err)
{
	auto_close int fd = -1;
	struct stat st;

	if (lstat(a->sun_path, &st) < 0)
		return errno == ENOENT ? 0
				       : error_sys(err, -errno, "cannot look at '%s'", a->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, -EEXIST, "'%s' is there and is no socket", a->sun_path);
	fd = open_socket();
	if (fd < 0)
		return error_sys(err, -errno, "cannot make a socket");
	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 || errno == EAGAIN)
		return error_set(err, -EADDRINUSE, "another memherd-actd listens on '%s'",
				 a->sun_path);
	if (unlink(a->sun_path) < 0)
		return error_sys(err, -errno, "cannot remove '%s'", a->sun_path);
	return 0;
}

/*
 * The file gets its group and mode as it is made: changing them by name afterwards would let the
 * folder's owner put another file in its place.
 */
static int bind_for_group(struct server *s, gid_t gid)
{
	gid_t old_gid = getegid();
	mode_t old_mask = umask(0117);
	int rc = 0;

	if (setegid(gid) < 0 ||
	    bind(s->listener, (const struct sockaddr *)&s->address, sizeof(s->address)) < 0)
		rc = -errno;
	umask(old_mask);
	if (setegid(old_gid) < 0)
		abort();
	return rc;
}

static int start(struct server *s, const char *path, gid_t gid, struct error *err)
{
	int rc;

	s->listener = activation_take(path, err);
	if (s->listener != -ENOENT)
		return MIN_OF(s->listener, 0);
	s->address.sun_family = AF_UNIX;
	if (!str_copy(s->address.sun_path, sizeof(s->address.sun_path), path))
		return error_set(err, -ENAMETOOLONG, "socket '%s' is longer than %zu bytes", path,
				 sizeof(s->address.sun_path) - 1);
	rc = clear_stale(&s->address, err);
	if (rc < 0)
		return rc;
	s->listener = open_socket();
	if (s->listener < 0)
		return error_sys(err, -errno, "cannot make a socket");
	rc = bind_for_group(s, gid);
	if (rc < 0)
		return error_sys(err, rc, "cannot bind '%s'", path);
	s->bound = true;
	if (listen(s->listener, BACKLOG) < 0)
		return error_sys(err, -errno, "cannot listen on '%s'", path);
	return 0;
}

int server_new(const char *path, uid_t uid, gid_t gid, struct gate *gate, struct server **ret,
	       struct error *err)
{
	struct server *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return error_set(err, -ENOMEM, "no memory for the server");
	s->listener = -1;
	s->uid = uid;
	s->gate = gate;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		s->clients[i] = -1;
	rc = start(s, path, gid, err);
	if (rc < 0) {
		server_free(&s);
		return rc;
	}
	*ret = s;
	return 0;
}

void server_free(struct server **slot)
{
	struct server *s = *slot;

	if (!s)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (s->clients[i] >= 0)
			close(s->clients[i]);
	if (s->listener >= 0)
		close(s->listener);
	if (s->bound)
		unlink(s->address.sun_path);
	free(s);
	*slot = NULL;
}

static bool may_talk(const struct server *s, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	if (peer.uid == 0 || peer.uid == s->uid)
		return true;
	log_warn("peer uid=%u pid=%d refused", (unsigned)peer.uid, (int)peer.pid);
	return false;
}

static void on_connection(struct server *s)
{
	auto_close int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 || !may_talk(s, fd))
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (s->clients[i] < 0) {
			s->clients[i] = take_fd(fd);
			return;
		}
	}
	log_warn("peer refused: %d connections are open", CLIENTS_MAX);
}

/* What an action made, as a file in memory that nobody can change any more. -1 when there is none
 * to be had: the answer then goes without. */
static int seal_body(const struct buf *body)
{
	auto_close int fd = -1;

	if (!body || !body->len)
		return -1;
	fd = memfd_create("memherd-actd", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || write(fd, body->data, body->len) != (ssize_t)body->len ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
		log_warn("body bytes=%zu error='cannot hand it over: %s'", body->len,
			 strerror(errno));
		return -1;
	}
	return take_fd(fd);
}

static int send_answer(int to, const uint8_t answer[COMMAND_RESULT_SIZE], int body_fd)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)answer, .iov_len = COMMAND_RESULT_SIZE};
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))] = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (body_fd >= 0) {
		struct cmsghdr *head = (struct cmsghdr *)(void *)control;

		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &body_fd, sizeof(body_fd));
	}
	return sendmsg(to, &msg, MSG_NOSIGNAL) == COMMAND_RESULT_SIZE ? 0 : -EPIPE;
}

/* A question for what the journal tells, answered likewise. */
static int tell_news(const struct server *s, int fd, uint64_t kept)
{
	uint8_t answer[HOST_NEWS_SIZE];
	struct host_news news;

	gate_tell(s->gate, kept, &news);
	host_news_pack(answer, &news);
	return send(fd, answer, sizeof(answer), MSG_NOSIGNAL) == HOST_NEWS_SIZE ? 0 : -EPIPE;
}

/* One datagram, one answer; -EPIPE when the connection is of no more use. */
static int serve(struct server *s, int fd)
{
	struct command_request request;
	struct command_result result;
	uint8_t answer[COMMAND_RESULT_SIZE];
	auto_close int body = -1;
	uint64_t kept;
	ssize_t n = recv(fd, &request, COMMAND_REQUEST_SIGNED_SIZE, MSG_TRUNC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
	if (n > 0 && host_news_asked(&request, (size_t)n, &kept) == 0)
		return tell_news(s, fd, kept);
	if (n != (ssize_t)COMMAND_REQUEST_SIZE && n != (ssize_t)COMMAND_REQUEST_SIGNED_SIZE) {
		if (n > 0)
			log_warn("peer sent %zd bytes, expected %zu or %zu", n,
				 COMMAND_REQUEST_SIZE, COMMAND_REQUEST_SIGNED_SIZE);
		return -EPIPE;
	}
	request.has_warrant = n == (ssize_t)COMMAND_REQUEST_SIGNED_SIZE;
	if (s->gate->body)
		buf_reset(s->gate->body);
	gate_submit(s->gate, &request, clock_wall_us(), &result);
	command_result_pack(answer, &result);
	body = seal_body(s->gate->body);
	return send_answer(fd, answer, body);
}

static void turn(struct server *s, const struct pollfd *ready)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (s->clients[i] < 0 || !ready[i].revents || serve(s, s->clients[i]) == 0)
			continue;
		close(s->clients[i]);
		s->clients[i] = -1;
	}
}

int server_run(struct server *s, int stop_fd, int watcher_fd, struct error *err)
{
	struct pollfd fds[CLIENTS_MAX + 3];

	for (;;) {
		/* poll skips descriptors below zero. */
		for (size_t i = 0; i < CLIENTS_MAX; i++)
			fds[i] = (struct pollfd){.fd = s->clients[i], .events = POLLIN};
		fds[CLIENTS_MAX] = (struct pollfd){.fd = s->listener, .events = POLLIN};
		fds[CLIENTS_MAX + 1] = (struct pollfd){.fd = stop_fd, .events = POLLIN};
		fds[CLIENTS_MAX + 2] = (struct pollfd){.fd = watcher_fd, .events = POLLIN};
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
			if (errno == EINTR)
				continue;
			return error_sys(err, -errno, "cannot wait for requests");
		}
		if (fds[CLIENTS_MAX + 1].revents)
			return 0;
		/* Who starts us again has its limits taken back. */
		if (fds[CLIENTS_MAX + 2].revents)
			return error_set(err, -ECHILD, "the watcher of limits has ended");
		turn(s, fds);
		if (fds[CLIENTS_MAX].revents)
			on_connection(s);
	}
}
