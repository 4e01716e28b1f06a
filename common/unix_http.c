/* SPDX-License-Identifier: Apache-2.0 */
#include "common/unix_http.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/clock.h"

static int wait_ready(int fd, short what, int64_t until_us)
{
	int64_t left_us = until_us - clock_boot_us();
	struct pollfd p = {.fd = fd, .events = what};
	int r;

	if (left_us <= 0)
		return -ETIMEDOUT;
	r = poll(&p, 1, (int)(left_us / 1000) + 1);
	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	return r ? 0 : -ETIMEDOUT;
}

int unix_http_connect(const char *path, int64_t until_us)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	size_t len = strlen(path);

	if (fd < 0)
		return -errno;
	if (len >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.sun_path, path, len);
	while (connect(fd, (const void *)&to, sizeof(to)) < 0) {
		/* its queue is full: a local socket has no other way to say wait */
		if (errno != EAGAIN)
			return -errno;
		if (clock_boot_us() >= until_us)
			return -ETIMEDOUT;
		poll(NULL, 0, 20);
	}
	return take_fd(fd);
}

static int send_all(int fd, const char *s, size_t len, int64_t until_us)
{
	while (len) {
		ssize_t n = send(fd, s, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		int r;

		if (n >= 0) {
			s += n;
			len -= (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		r = wait_ready(fd, POLLOUT, until_us);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_all(int fd, struct buf *b, int64_t until_us)
{
	for (;;) {
		char chunk[8192];
		ssize_t n = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
		int r;

		if (n == 0)
			return 0;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		r = n < 0 ? wait_ready(fd, POLLIN, until_us) : 0;
		if (n > 0) {
			buf_put(b, chunk, (size_t)n);
			r = buf_status(b) < 0 ? -EFBIG : 0;
			/* one that never stops and never pauses */
			if (r == 0 && clock_boot_us() >= until_us)
				r = -ETIMEDOUT;
		}
		if (r < 0)
			return r;
	}
}

int unix_http_exchange(int fd, const char *request, int64_t until_us, struct buf *b)
{
	int r = send_all(fd, request, strlen(request), until_us);

	return r < 0 ? r : read_all(fd, b, until_us);
}

int unix_http_ask(const char *socket_path, const char *request, int64_t deadline_us, struct buf *b,
		  struct error *err)
{
	int64_t until_us = clock_boot_us() + deadline_us;
	auto_close int fd = unix_http_connect(socket_path, until_us);
	int r;

	if (fd < 0)
		return error_sys(err, fd, "cannot reach '%s'", socket_path);
	r = unix_http_exchange(fd, request, until_us, b);
	return r < 0 ? error_sys(err, r, "no whole answer from '%s'", socket_path) : 0;
}

/* '\r\n\r\n' ends the head; the status stands in bytes 9 to 11: 'HTTP/1.1 200 OK'. */
int unix_http_parse(const void *answer, size_t len, size_t *ret_body, struct error *err)
{
	const char *s = answer;
	const char *end = len > 12 ? memmem(s, len, "\r\n\r\n", 4) : NULL;
	int status = 0;

	if (!end || memcmp(s, "HTTP/1.", 7) != 0 || s[8] != ' ')
		return error_set(err, -EBADMSG, "the answer is not HTTP");
	for (int i = 9; i < 12; i++) {
		if (s[i] < '0' || s[i] > '9')
			return error_set(err, -EBADMSG, "the answer has no status");
		status = status * 10 + (s[i] - '0');
	}
	*ret_body = (size_t)(end + 4 - s);
	return status;
}
