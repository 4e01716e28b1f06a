/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/kmsg_reader.h"

#include <errno.h>
#include <fcntl.h>

int kmsg_reader_open(struct kmsg_reader *r, const char *path, struct error *err)
{
	r->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	r->any = r->caught_up = false;
	r->seq = r->refused = 0;
	return r->fd < 0 ? error_sys(err, -errno, "cannot read '%s'", path) : 0;
}

void kmsg_reader_close(struct kmsg_reader *r)
{
	if (r->fd >= 0)
		close(take_fd(r->fd));
}

static int failed(struct kmsg_reader *r, int code)
{
	switch (code) {
	case EAGAIN:
		r->caught_up = true;
		return KMSG_END;
	case EINVAL:
		r->refused++;
		return KMSG_SKIPPED;
	case EPIPE: /* the next read gives the oldest record there is: its number tells how many */
	case EINTR:
		return KMSG_SKIPPED;
	default:
		return -code;
	}
}

int kmsg_reader_next(struct kmsg_reader *r, uint64_t *ret_lost)
{
	ssize_t n = read(r->fd, r->data, sizeof(r->data));
	uint64_t lost;

	*ret_lost = 0;
	if (n < 0)
		return failed(r, errno);
	if (n == 0)
		return -ENODATA;
	if (kmsg_parse(r->data, (size_t)n, &r->record) < 0) {
		r->refused++;
		return KMSG_SKIPPED;
	}
	lost = r->any ? kmsg_lost(r->seq, r->record.seq) : 0;
	*ret_lost = lost > r->refused ? lost - r->refused : 0;
	r->refused = 0;
	r->any = true;
	r->seq = r->record.seq;
	return KMSG_RECORD;
}
