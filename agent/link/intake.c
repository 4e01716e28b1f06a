/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/intake.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "common/buf.h"

#define MAGIC          0x696e746bU
#define READS_PER_TURN 32 /* then others on the loop get their turn */

struct intake {
	uint32_t magic;
	int fd;
	struct event *readable;
	const struct intake_ops *ops;
	void *arg;
	struct record_head head;
	size_t head_have;
	struct buf body;
};

static bool known_kind(unsigned kind)
{
	switch (kind) {
	case RECORD_TICK:
	case RECORD_EVENT:
	case RECORD_KILL:
	case RECORD_POSTURE:
	case RECORD_SELF:
		return true;
	default:
		return false;
	}
}

int intake_judge(const struct record_head *h, struct error *err)
{
	uint16_t flags = h->kind == RECORD_TICK ? RECORD_KEYFRAME : 0;

	if (!known_kind(h->kind))
		return error_set(err, -EBADMSG, "record of unknown kind %u", (unsigned)h->kind);
	if (h->flags & ~flags)
		return error_set(err, -EBADMSG, "record with unknown flags %#x",
				 (unsigned)h->flags);
	if (h->len > RECORD_MAX_BODY)
		return error_set(err, -EBADMSG, "record of %u bytes exceeds %u", (unsigned)h->len,
				 RECORD_MAX_BODY);
	if (h->kind == RECORD_SELF && h->len != sizeof(struct record_self))
		return error_set(err, -EBADMSG, "self report of %u bytes", (unsigned)h->len);
	/* Both begin with a time: without a body there is nothing to tell. */
	if ((h->kind == RECORD_KILL || h->kind == RECORD_POSTURE) && h->len == 0)
		return error_set(err, -EBADMSG, "record of kind %u is empty", (unsigned)h->kind);
	return 0;
}

static void end(struct intake *in, const char *why)
{
	event_del(in->readable);
	close(in->fd);
	in->fd = -1;
	in->ops->on_end(in->arg, why);
}

/* One read, of what is missing of the head or the body. 1 = go on, 0 = later, -errno = the end. */
static int read_some(struct intake *in, struct error *err)
{
	size_t want = sizeof(in->head) - in->head_have;
	uint8_t *to = (uint8_t *)&in->head + in->head_have;
	ssize_t n;

	if (want == 0) {
		want = in->head.len - in->body.len;
		to = buf_reserve(&in->body, want);
		if (!to)
			return error_set(err, -ENOMEM, "no memory for a record");
	}
	n = want ? read(in->fd, to, want) : 0;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0
							 : error_sys(err, -errno, "cannot read");
	if (n == 0 && want)
		return error_set(err, -EPIPE, "sense ended");
	if (in->head_have < sizeof(in->head))
		in->head_have += (size_t)n;
	else
		in->body.len += (size_t)n;
	return 1;
}

/* Hands over the record when it is whole. */
static int deliver(struct intake *in, struct error *err)
{
	int rc;

	if (in->head_have < sizeof(in->head))
		return 0;
	if (in->body.len == 0) {
		rc = intake_judge(&in->head, err);
		if (rc < 0)
			return rc;
	}
	if (in->body.len < in->head.len)
		return 0;
	in->ops->on_record(in->arg, &in->head, in->body.data);
	in->head_have = 0;
	buf_reset(&in->body);
	return 0;
}

static void on_readable(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct intake *in = arg;
	struct error err = {""};
	int rc = 1;

	MAGIC_CHECK(in, MAGIC);
	for (int i = 0; i < READS_PER_TURN && rc > 0; i++) {
		rc = read_some(in, &err);
		if (rc > 0 && deliver(in, &err) < 0)
			rc = -EBADMSG;
	}
	if (rc < 0)
		end(in, err.msg);
}

int intake_new(struct event_base *base, int fd, const struct intake_ops *ops, void *arg,
	       struct intake **ret, struct error *err)
{
	struct intake *in = calloc(1, sizeof(*in));

	if (!in) {
		close(fd);
		return error_set(err, -ENOMEM, "no memory for the socket to sense");
	}
	*in = (struct intake){.magic = MAGIC, .fd = fd, .ops = ops, .arg = arg};
	buf_init(&in->body, RECORD_MAX_BODY);
	in->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, in);
	if (!in->readable || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
	    event_add(in->readable, NULL) < 0) {
		intake_free(&in);
		return error_set(err, -ENOMEM, "cannot watch the socket to sense");
	}
	*ret = in;
	return 0;
}

void intake_free(struct intake **in)
{
	struct intake *i = *in;

	if (!i)
		return;
	if (i->readable)
		event_free(i->readable);
	if (i->fd >= 0)
		close(i->fd);
	buf_fini(&i->body);
	free(i);
	*in = NULL;
}

/* So few bytes are one buffer of the kernel's: a local socket takes them whole or not at all. */
static bool tell(const struct intake *in, const void *data, size_t len)
{
	return in->fd >= 0 && send(in->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

void intake_want_keyframe(struct intake *in)
{
	const struct record_head head = {.kind = RECORD_WANT_KEYFRAME};

	/* A full socket means that sense has not read the wish before this one. */
	(void)tell(in, &head, sizeof(head));
}

bool intake_tell_action(struct intake *in, const struct record_action *a)
{
	const struct {
		struct record_head head;
		struct record_action action;
	} both = {.head = {.kind = RECORD_ACTION, .len = sizeof(*a)}, .action = *a};

	return tell(in, &both, sizeof(both));
}
