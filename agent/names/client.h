/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - sense's side of memherd-names: asks without waiting, takes what has come. Owns nothing
 * but the number of its descriptor, which the caller closes.
 */
#ifndef MEMHERD_AGENT_NAMES_CLIENT_H
#define MEMHERD_AGENT_NAMES_CLIENT_H

#include <stdbool.h>

#include "agent/names/question.h"
#include "common/check.h"

struct names_client {
	int fd;       /* -1 = nobody to ask */
	uint64_t bad; /* answers that were refused */
};

typedef void (*names_taker)(void *arg, const struct names_answer *answer);

/* fd: one end of a SOCK_SEQPACKET pair, or -1. */
void names_client_init(struct names_client *c, int fd);
/* id: 64 hex digits. -EAGAIN when the queue is full: ask later; -ENOTCONN without a descriptor;
 * -EINVAL for what is no id. */
int names_client_ask(struct names_client *c, const char *id) must_use;
/* Hands over what has come, at most 64 answers, each judged. How many; -EPIPE when the other side
 * is gone for good. */
int names_client_take(struct names_client *c, names_taker take, void *arg) must_use;
/* 64 lower-case hex digits, not counting a NUL? */
bool names_is_id(const char *id, size_t len);

#endif
