/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pulse.h - does the database answer? A connection that is up says little about a server that is
 * stopped or drowned, so one small statement a second is asked, and REST refuses at once instead
 * of waiting when none was answered for PULSE_LATE_US. Owned by api.c; lives on the loop.
 */
#ifndef MEMHERD_COLLECTOR_API_PULSE_H
#define MEMHERD_COLLECTOR_API_PULSE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"

#define PULSE_LATE_US (3 * 1000000LL)

struct db;
struct event_base;
struct pulse;

/* db may be NULL: it never answers. It must be freed before the pulse. -ENOMEM. */
int pulse_new(struct event_base *base, struct db *db, struct pulse **ret) must_use;
void pulse_free(struct pulse **p);
bool pulse_alive(const struct pulse *p);
/* Why not alive; '' when it is. */
const char *pulse_trouble(const struct pulse *p);

#endif
