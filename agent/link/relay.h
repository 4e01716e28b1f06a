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

#define RELAY_QUEUE     16
#define RELAY_LIMIT_SEC 30 /* for an answer; more than the slowest action takes */

struct event_base;
struct relay;

/* Called once per command; may come from inside relay_submit. */
typedef void relay_done(void *arg, const uint8_t result[COMMAND_RESULT_SIZE]);
/*
 * Called before relay_done with what a command made, an encoded census: at most RECORD_MAX_BODY
 * bytes of a file that memherd-actd sealed, and well formed. Only valid during the call. body is
 * NULL where that did not hold, and why says what.
 */
typedef void relay_body(void *arg, const uint8_t *body, size_t len, int64_t t_wall_us,
			const char *why);

int relay_new(struct event_base *base, const char *socket_path, relay_done *done, relay_body *body,
	      void *arg, struct relay **ret) must_use;
/* Commands that wait get no result. */
void relay_free(struct relay **r);
/* True when memherd-actd accepts a connection now. */
bool relay_reachable(const struct relay *r);
/* -EBADMSG for a body or signature of the wrong size, which has no id to answer to. */
int relay_submit(struct relay *r, const struct wire_command *c, struct error *err) must_use;

#endif
