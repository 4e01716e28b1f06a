/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unix_http.h - one HTTP/1.0 request to a daemon behind a Unix socket (a container engine): one
 * answer, then the end of the connection. Blocks; bounded in bytes and time.
 */
#ifndef MEMHERD_COMMON_UNIX_HTTP_H
#define MEMHERD_COMMON_UNIX_HTTP_H

#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"

/*
 * request: head and body as they are sent. The whole answer, head and body, goes into b, whose
 * maximum bounds it. -ETIMEDOUT, -EFBIG, -EACCES (the socket is not ours to use), -ENOENT and
 * -ECONNREFUSED (nobody there), or another -errno.
 */
int unix_http_ask(const char *socket_path, const char *request, int64_t deadline_us, struct buf *b,
		  struct error *err) must_use;
/* A connection to it alone, in non-blocking mode, until until_us (boot clock); or -errno. */
int unix_http_connect(const char *socket_path, int64_t until_us) must_use;
/* The same on a connection that is there already, in non-blocking mode; until_us: boot clock. The
 * -errno alone. */
int unix_http_exchange(int fd, const char *request, int64_t until_us, struct buf *b) must_use;
/* Pure: the status, 200 and the like, and where the body begins. -EBADMSG for what is not HTTP. */
int unix_http_parse(const void *answer, size_t len, size_t *ret_body, struct error *err) must_use;

#endif
