/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outbox.h - records on their way to link: a bounded queue of bytes before a non-blocking socket.
 * A slow link costs ticks, never memory and never a wait: what does not fit is refused, and the
 * caller makes the next tick a keyframe.
 */
#ifndef MEMHERD_AGENT_SENSE_OUTBOX_H
#define MEMHERD_AGENT_SENSE_OUTBOX_H

#include "agent/record.h"
#include "common/buf.h"

#define OUTBOX_TICKS 4u
/* Four of the largest ticks, and small records between them. */
#define OUTBOX_MAX (OUTBOX_TICKS * (RECORD_MAX_BODY + 4096u))

struct outbox {
	int fd; /* not owned */
	struct buf bytes;
	size_t sent;    /* of bytes */
	unsigned ticks; /* queued since it was last empty */
};

void outbox_init(struct outbox *o, int fd);
void outbox_fini(struct outbox *o);

/* Queues one record; -ENOBUFS when it does not fit (or would be the fifth tick), nothing is then
 * queued; -EMSGSIZE for a body above RECORD_MAX_BODY. */
int outbox_push(struct outbox *o, enum record_kind kind, uint16_t flags, int64_t wall_us,
		const void *body, size_t len) must_use;
/* Writes what the socket takes: 0 all gone, 1 some is left, -errno (-EPIPE: link has ended). */
int outbox_flush(struct outbox *o) must_use;

#endif
