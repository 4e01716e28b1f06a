/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retry.h - when to call the collector again. Pure: the caller brings the random number.
 *
 * Full jitter: uniform in [0, min(cap, base * 2^n)] after n failures in a row, and uniform in
 * [0, first] after a connection that worked, so that a fleet whose collector went away does not
 * come back in one wave. What the collector asks for in GoAway goes before both.
 */
#ifndef MEMHERD_AGENT_LINK_RETRY_H
#define MEMHERD_AGENT_LINK_RETRY_H

#include <stdbool.h>
#include <stdint.h>

/* Whatever a collector asks, a host is not silent for longer. */
#define RETRY_ASKED_MAX_US (3600 * INT64_C(1000000))

struct retry {
	int64_t base_us;
	int64_t cap_us;
	int64_t first_us;
	unsigned failures;
	bool worked; /* the connection that just ended did */
	bool asked;
	int64_t asked_min_us;
	int64_t asked_max_us;
};

/* The connection is healthy: it has lasted and something was acked on it. */
void retry_worked(struct retry *r);
/* GoAway's range; turned into a sane one. */
void retry_ask(struct retry *r, uint32_t min_ms, uint32_t max_ms);
/* A connection ended or failed: how long to wait, in microseconds. */
int64_t retry_delay(struct retry *r, uint64_t random);

#endif
