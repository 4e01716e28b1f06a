/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.h - carries signed commands to memherd-actd and its results back, unread.
 *
 * One command at a time over a SOCK_SEQPACKET socket, the others wait (RELAY_QUEUE). link has no
 * say in what is done: memherd-actd checks signature and policy itself. Each command that is
 * submitted gets exactly one result, written here when actd cannot be reached or does not answer.
 */
#ifndef MEMHERD_AGENT_LINK_RELAY_H
#define MEMHERD_AGENT_LINK_RELAY_H

#include <stdbool.h>

#include "common/error.h"
#include "proto/command.h"
#include "proto/wire.h"

#define RELAY_QUEUE 16
/* For an answer: the slowest action, behind another one that root began by hand. */
#define RELAY_LIMIT_SEC (2 * COMMAND_LIMIT_SEC + 10)

struct event_base;
struct relay;

/* Both may come from inside relay_submit. */
struct relay_ops {
	/* memherd-actd is there and gets the command next. Not for one that it cannot be asked. */
	void (*start)(void *arg, const struct command_request *q);
	/* Once for each command. */
	void (*done)(void *arg, const uint8_t result[COMMAND_RESULT_SIZE]);
	/* Before done, what a command made, an encoded census or snapshot: at most RECORD_MAX_BODY
	 * bytes of a file that memherd-actd sealed, and well formed; valid during the call. body is
	 * NULL where that did not hold, and why says what. */
	void (*body)(void *arg, enum wire_record kind, const uint8_t *body, size_t len,
		     int64_t t_wall_us, const char *why);
};

int relay_new(struct event_base *base, const char *socket_path, const struct relay_ops *ops,
	      void *arg, struct relay **ret) must_use;
/* Commands that wait get no result. */
void relay_free(struct relay **r);
/* True when memherd-actd accepts a connection now. */
bool relay_reachable(const struct relay *r);
/* -EBADMSG for a body or signature of the wrong size, which has no id to answer to. */
int relay_submit(struct relay *r, const struct wire_command *c, struct error *err) must_use;

#endif
