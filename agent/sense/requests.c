/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/requests.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/command.h"

int requests_judge(const struct record_head *h, struct error *err)
{
	uint32_t len = h->kind == RECORD_ACTION ? sizeof(struct record_action) : 0;

	if ((h->kind != RECORD_WANT_KEYFRAME && h->kind != RECORD_ACTION) || h->len != len)
		return error_set(err, -EBADMSG, "request of kind %u with %u bytes",
				 (unsigned)h->kind, (unsigned)h->len);
	return 0;
}

static int judge_action(const struct record_action *a, struct error *err)
{
	if (a->state > RECORD_ACTION_OFF)
		return error_set(err, -EBADMSG, "action in unknown state %u", (unsigned)a->state);
	if (a->state == RECORD_ACTION_BEGINS &&
	    (!a->pid || !a->start_ticks || !command_action_word(a->action)))
		return error_set(err, -EBADMSG, "action %u on process %u", (unsigned)a->action,
				 (unsigned)a->pid);
	return 0;
}

/* Whole: the head, and behind it what the head promises. */
static int deliver(struct requests *r, const struct requests_ops *ops, void *arg, struct error *err)
{
	const struct record_head *h = &r->in.head;
	int rc;

	if (r->have < sizeof(*h))
		return 0;
	rc = requests_judge(h, err);
	if (rc < 0 || r->have < sizeof(*h) + h->len)
		return rc;
	r->have = 0;
	if (h->kind == RECORD_WANT_KEYFRAME) {
		ops->keyframe(arg);
		return 0;
	}
	rc = judge_action(&r->in.action, err);
	if (rc == 0)
		ops->action(arg, &r->in.action);
	return rc;
}

static size_t missing(const struct requests *r)
{
	size_t whole = sizeof(r->in.head);

	if (r->have >= whole)
		whole += r->in.head.len; /* judged */
	return whole - r->have;
}

int requests_read(struct requests *r, int fd, const struct requests_ops *ops, void *arg,
		  struct error *err)
{
	/* Each has a head and perhaps a body: two reads. */
	for (int i = 0; i < 2 * REQUESTS_PER_TURN; i++) {
		ssize_t n = recv(fd, (char *)&r->in + r->have, missing(r), MSG_DONTWAIT);
		int rc;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return error_set(err, -EPIPE, "link is gone");
		r->have += (size_t)n;
		rc = deliver(r, ops, arg, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}
