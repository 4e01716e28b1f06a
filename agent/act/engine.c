/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/act/supervisor.h"
#include "common/clock.h"
#include "common/str.h"
#include "common/unix_http.h"

#define ANSWER_MAX                                                                    \
	((size_t)256 * 1024) /* a container that is looked at; only the status counts \
			      */
#define LOOK_US (2 * USEC_PER_SEC)

/* The status of the answer, or -errno. */
static int ask(const char *socket, const char *request, int64_t limit_us, struct error *err)
{
	auto_buf struct buf b = BUF_INIT(ANSWER_MAX);
	size_t body;
	int rc = unix_http_ask(socket, request, limit_us, &b, err);

	return rc < 0 ? rc : unix_http_parse(b.data, b.len, &body, err);
}

static int knows(const char *socket, const char *id, struct error *err)
{
	char request[160];
	int status;

	snprintf(request, sizeof(request),
		 "GET /containers/%.*s/json HTTP/1.0\r\nHost: localhost\r\n\r\n", CONTAINER_ID_LEN,
		 id);
	status = ask(socket, request, LOOK_US, err);
	if (status < 0)
		return status;
	return status == 200 ? 0
			     : error_set(err, -ENOENT, "'%s' does not know the container", socket);
}

int engine_of(const char *sockets, const char *id, char ret_socket[ENGINE_SOCKET_SIZE],
	      struct error *err)
{
	int rc = error_set(err, -ENOENT, "no container engine is known here");

	for (const char *s = sockets; *s;) {
		size_t n = strcspn(s, " ");
		char path[ENGINE_SOCKET_SIZE];

		if (n && n < sizeof(path)) {
			str_safe(path, sizeof(path), s, n);
			rc = knows(path, id, err);
			if (rc == 0) {
				str_copy(ret_socket, ENGINE_SOCKET_SIZE, path);
				return 0;
			}
		}
		s += n;
		s += *s == ' ';
	}
	return rc;
}

int engine_restart(const char *socket, const char *id, int64_t limit_us, struct error *err)
{
	char request[192];
	int status;

	snprintf(request, sizeof(request),
		 "POST /containers/%.*s/restart?t=%d HTTP/1.0\r\nHost: localhost\r\n"
		 "Content-Length: 0\r\n\r\n",
		 CONTAINER_ID_LEN, id, ENGINE_STOP_SEC);
	status = ask(socket, request, limit_us, err);
	if (status < 0)
		return status;
	return status == 204 ? 0
			     : error_set(err, -EIO, "the engine answered with status %d", status);
}
