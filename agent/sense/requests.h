/* SPDX-License-Identifier: Apache-2.0 */
/*
 * requests.h - what link says to sense over their socket pair (agent/record.h): the wish for a
 * keyframe, and what memherd is about to do to a process. link reads the network and is not
 * trusted: a head is judged before its body is waited for, and nothing is ever longer than one of
 * the fixed structs.
 */
#ifndef MEMHERD_AGENT_SENSE_REQUESTS_H
#define MEMHERD_AGENT_SENSE_REQUESTS_H

#include <stddef.h>

#include "agent/record.h"
#include "common/error.h"

/* In one call; the rest waits for the next. */
#define REQUESTS_PER_TURN 16

/* One request, as far as it has come. */
struct requests {
	struct {
		struct record_head head;
		struct record_action action;
	} in;
	size_t have;
};

struct requests_ops {
	void (*keyframe)(void *arg);
	void (*action)(void *arg, const struct record_action *a);
};

/* Pure: -EBADMSG for what does not stand in this stream. */
int requests_judge(const struct record_head *head, struct error *err) must_use;
/* Hands out what has come, without waiting. -EPIPE: link is gone; -EBADMSG: it talks nonsense. */
int requests_read(struct requests *r, int fd, const struct requests_ops *ops, void *arg,
		  struct error *err) must_use;

#endif
