/* SPDX-License-Identifier: Apache-2.0 */
/*
 * absence.h - an expected service that went or came back, in the words of an event. Pure; the
 * caller sends it.
 */
#ifndef MEMHERD_AGENT_SENSE_ABSENCE_H
#define MEMHERD_AGENT_SENSE_ABSENCE_H

#include "agent/sense/services.h"
#include "common/str.h"

#define ABSENCE_DETAILS 5

struct absence {
	struct wire_event event; /* its texts lie in what follows: do not copy the struct */
	char text[WIRE_TEXT_MAX + 1];
	const char *keys[ABSENCE_DETAILS];
	const char *values[ABSENCE_DETAILS];
	char since[STR_TIME_SIZE];
	char last_pid[16];
	char away[24];
	char incarnation[16];
};

/* "expected service 'shop' has no process since 2026-11-23T01:02:03.004Z (last pid 17)";
 * "expected service 'shop' is back after 3 min". */
void absence_describe(struct absence *out, const struct service_change *c, int64_t wall_us,
		      int64_t boot_us);

#endif
