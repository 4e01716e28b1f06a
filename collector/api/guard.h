/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.h - reads the bytes of an HTTP/1.1 connection before evhttp does, and lets through only
 * requests whose end no two parsers can disagree about (RFC 9112): what a lenient parser would
 * repair is refused here. Pure: bytes in, a count or a status out.
 *
 * evhttp accepts two different Content-Length, 'Content-Length: +3', 'Host :' and no Host at all;
 * behind a reverse proxy each of these is a way to smuggle a request.
 */
#ifndef MEMHERD_COLLECTOR_API_GUARD_H
#define MEMHERD_COLLECTOR_API_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"

#define GUARD_HEAD_MAX   (16 * 1024) /* request line and header fields */
#define GUARD_TARGET_MAX 4096        /* path and query */
#define GUARD_FIELDS_MAX 64
#define GUARD_BODY_MAX   (1024 * 1024)

struct guard {
	size_t scanned;     /* of the head at hand: bytes known to hold no end of it */
	uint64_t body_left; /* of the request that was let through last */
	bool in_head;       /* part of a head is waiting */
	uint64_t requests;  /* whole requests let through */
	const char *reason; /* why it was refused */
};

void guard_init(struct guard *g);
/*
 * data is all that has come and was not let through yet. Gives how many of its first bytes may go
 * on now (0: more must come first), or minus an HTTP status: the connection must end, and nothing
 * may be fed any more.
 */
int64_t guard_feed(struct guard *g, const uint8_t *data, size_t len) must_use;
/* Between two requests. */
bool guard_is_idle(const struct guard *g);

#endif
