/* SPDX-License-Identifier: Apache-2.0 */
/*
 * allowance.h - how fast one agent may send: a token bucket of bytes. What an agent held back over
 * an outage comes at this rate, so that a fleet that drains leaves room for what is new. Pure.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_ALLOWANCE_H
#define MEMHERD_COLLECTOR_FLEET_ALLOWANCE_H

#include <stddef.h>
#include <stdint.h>

#define ALLOWANCE_BURST (1024 * 1024) /* bytes that may come at once */

struct allowance {
	int64_t bytes; /* left; below 0 in debt */
	int64_t at_us; /* when that was so */
};

void allowance_init(struct allowance *a, int64_t now_us);
/* len bytes came: microseconds to wait before more is read, 0 = none. now_us never goes back; rate
 * in bytes a second, at least 1. */
int64_t allowance_take(struct allowance *a, int64_t rate, size_t len, int64_t now_us);

#endif
