/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intake.h - link's end of the socket pair to sense (agent/record.h): records come in, the wish for
 * a keyframe goes out.
 *
 * sense reads what hostile processes call themselves, so it is not trusted either: a head is judged
 * before its body is waited for, and a broken one ends the intake. One owner; callbacks come
 * from the loop.
 */
#ifndef MEMHERD_AGENT_LINK_INTAKE_H
#define MEMHERD_AGENT_LINK_INTAKE_H

#include <stdbool.h>

#include "agent/record.h"
#include "common/error.h"

struct event_base;
struct intake;

struct intake_ops {
	/* body is only valid during the call. */
	void (*on_record)(void *arg, const struct record_head *head, const uint8_t *body);
	/* Nothing more will come, because sense ended or sent nonsense. The owner frees the intake
	 * later, not in this call. */
	void (*on_end)(void *arg, const char *why);
};

/* Takes over fd, also when it fails. */
int intake_new(struct event_base *base, int fd, const struct intake_ops *ops, void *arg,
	       struct intake **ret, struct error *err) must_use;
void intake_free(struct intake **in);
/* Asks sense for a keyframe; asked again later by the caller if it does not come. */
void intake_want_keyframe(struct intake *in);
/* Tells sense what is about to be done to a process, or that it was not done. False when sense is
 * not there or does not read: how the process ends will then be a riddle. */
bool intake_tell_action(struct intake *in, const struct record_action *a) must_use;

/* Pure: 0 when the head may stand in the stream, else -EBADMSG. */
int intake_judge(const struct record_head *head, struct error *err) must_use;

#endif
