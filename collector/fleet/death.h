/* SPDX-License-Identifier: Apache-2.0 */
/*
 * death.h - how a process ended, read out of an event of kind 'death'. Its details say cause and
 * confidence (words of proto/kill.h), signal (a number or 'SIGKILL') or exit_code, and who it was
 * (comm, service, container); its text is the verdict. What an agent says of it that makes no sense
 * is left out, the rest holds. Pure.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_DEATH_H
#define MEMHERD_COLLECTOR_FLEET_DEATH_H

#include "proto/wire.h"

struct death {
	int64_t proc_id;
	enum kill_cause cause;
	int confidence; /* enum kill_confidence; -1 = not told */
	int signal;     /* 0 = none known */
	int exit_code;  /* -1 = not known */
	/* into the event; '' = not told */
	const char *verdict;
	const char *comm;
	const char *service;
	const char *container;
};

/* boot_id: of the boot in which the event's pid is meant. False for an event that is no death or
 * names no process. */
bool death_of(const struct wire_event *e, const uint8_t boot_id[16], struct death *ret);

#endif
