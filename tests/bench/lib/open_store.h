/* SPDX-License-Identifier: Apache-2.0 */
/* open_store.h - a store and its loop for a benchmark, which ends with the cause where it fails. */
#ifndef MEMHERD_TESTS_BENCH_LIB_OPEN_STORE_H
#define MEMHERD_TESTS_BENCH_LIB_OPEN_STORE_H

#include <event2/event.h>

#include "collector/store/store.h"

/* No grace, room for whole hours of a large fleet, and nothing is dropped by age. */
void bench_store_config(struct store_config *cfg, const char *conninfo);
/* Connected, and its replay (of nothing) over, so that it seals. */
struct store *bench_store_open(struct event_base *base, const struct store_config *cfg,
			       store_on_acked *on_acked, void *arg);
/* Runs the loop until so many samples of processes more are sealed; ends the program after a minute
 * without one. */
void bench_store_seal(struct event_base *base, struct store *s, uint64_t samples);
void bench_must(int rc, const char *what);

#endif
