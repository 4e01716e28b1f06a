/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/names/engine.h"

#include <stdio.h>

#include "common/unix_http.h"

int engine_ask(const char *socket_path, const char id[NAMES_ID_LEN], int64_t deadline_us,
	       struct buf *b, struct error *err)
{
	char request[160];

	snprintf(request, sizeof(request),
		 "GET /containers/%.*s/json HTTP/1.0\r\nHost: localhost\r\n\r\n", NAMES_ID_LEN, id);
	return unix_http_ask(socket_path, request, deadline_us, b, err);
}
