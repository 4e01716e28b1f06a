/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/outbox.h"

#include <errno.h>
#include <sys/socket.h>

/* Above this the memory of a queue that has drained is given back. */
#define KEEP_CAP ((size_t)32 * 1024)

void outbox_init(struct outbox *o, int fd)
{
	*o = (struct outbox){.fd = fd};
	buf_init(&o->bytes, OUTBOX_MAX);
}

void outbox_fini(struct outbox *o)
{
	buf_fini(&o->bytes);
}

int outbox_push(struct outbox *o, enum record_kind kind, uint16_t flags, int64_t wall_us,
		const void *body, size_t len)
{
	struct record_head head = {.len = (uint32_t)len,
				   .kind = (uint16_t)kind,
				   .flags = flags,
				   .t_wall_us = wall_us};

	if (len > RECORD_MAX_BODY)
		return -EMSGSIZE;
	if (kind == RECORD_TICK && o->ticks >= OUTBOX_TICKS)
		return -ENOBUFS;
	/* One reservation: half a record must never be queued. */
	if (o->bytes.len + sizeof(head) + len > o->bytes.max)
		return -ENOBUFS;
	if (!buf_reserve(&o->bytes, sizeof(head) + len)) {
		o->bytes.failed = false;
		return -ENOBUFS;
	}
	buf_put(&o->bytes, &head, sizeof(head));
	buf_put(&o->bytes, body, len);
	o->ticks += kind == RECORD_TICK;
	return 0;
}

int outbox_flush(struct outbox *o)
{
	while (o->sent < o->bytes.len) {
		ssize_t n = send(o->fd, o->bytes.data + o->sent, o->bytes.len - o->sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 1 : -errno;
		o->sent += (size_t)n;
	}
	o->sent = 0;
	o->ticks = 0;
	if (o->bytes.cap > KEEP_CAP)
		buf_fini(&o->bytes);
	else
		buf_reset(&o->bytes);
	return 0;
}
