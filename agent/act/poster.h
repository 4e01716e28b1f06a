/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poster.h - the process that asks a service's HTTP hook on this host's loopback. memherd-actd and
 * its workers may open no network socket; this one, begun before that is forbidden, may open
 * nothing else: no capability, no file, no other address than 127.0.0.1 and ::1.
 */
#ifndef MEMHERD_AGENT_ACT_POSTER_H
#define MEMHERD_AGENT_ACT_POSTER_H

#include "agent/act/hook.h"

/* The socket that it is asked over; it ends when that is closed. Before confine(). */
int poster_start(struct error *err) must_use;
/* The status of the answer, 200 and the like, or -errno: -ECONNREFUSED, -ETIMEDOUT, ... */
int poster_ask(int poster, const struct hook *h, int64_t deadline_us, struct error *err) must_use;

/* The request that a hook is asked by; 'out' holds any. Returns its length. */
#define POSTER_REQUEST_SIZE (HOOK_PATH_SIZE + 128)
size_t poster_request(char out[POSTER_REQUEST_SIZE], const struct hook *h);

#endif
