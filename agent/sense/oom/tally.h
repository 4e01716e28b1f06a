/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tally.h - does what was told of kills agree with what the kernel counted (/proc/vmstat oom_kill,
 * every kernel kill on the host, since 4.13)? Pure; one tally an agent run.
 *
 * The log may lag behind the counter, and the counter is read at intervals. So a kill is missing
 * when it was counted TALLY_PATIENCE_US ago and is still not told, and one is surplus when it was
 * told so long ago and is still not counted. Kills cannot be told apart here: while they go on, a
 * later one may stand for the one that is missing, which shows when they end. Each is told once.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_TALLY_H
#define MEMHERD_AGENT_SENSE_OOM_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"

#define TALLY_PATIENCE_US 3000000

enum tally_state {
	TALLY_AGREES,
	TALLY_WAITING, /* differs, not yet for long */
	TALLY_MISSING, /* the kernel counted more than was told */
	TALLY_SURPLUS  /* more was told than the kernel counted */
};

struct tally {
	bool started;
	int64_t counted; /* what the kernel's counter was */
	int64_t told;    /* what it ought to be by what was told */
	enum tally_state side;
	int64_t mark; /* what the side that is behind must reach */
	int64_t since_us;
};

/* counter: oom_kill now. Kills of before this call are not to be told to the tally. */
void tally_start(struct tally *t, int64_t counter);
/* A kill, or a repeated kill line of the same victim (OOM_EVENT_AGAIN): the kernel counts both. */
void tally_told(struct tally *t);
/* now_us: any clock that does not go back. *ret_count: how many are missing or surplus, else 0;
 * they count as settled. A counter that went back (another boot) begins anew, as does the first
 * call. */
enum tally_state tally_check(struct tally *t, int64_t counter, int64_t now_us,
			     int64_t *ret_count) must_use;

#endif
