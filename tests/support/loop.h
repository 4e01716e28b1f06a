/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.h - C tests that turn an event loop of their own until something has come true.
 */
#ifndef MEMHERD_TESTS_SUPPORT_LOOP_H
#define MEMHERD_TESTS_SUPPORT_LOOP_H

#include <event2/event.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/support/test.h"

static inline void loop_turn(struct event_base *base)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
	usleep(1000);
}

/* Of these seconds none is spent when all is well. */
#define LOOP_WAIT_US (60 * USEC_PER_SEC)
#define LOOP_UNTIL(base, condition)                                         \
	do {                                                                \
		int64_t end_ = clock_boot_us() + LOOP_WAIT_US;              \
		while (!(condition)) {                                      \
			if (clock_boot_us() > end_)                         \
				fail_msg("waited in vain for " #condition); \
			loop_turn(base);                                    \
		}                                                           \
	} while (0)

#endif
