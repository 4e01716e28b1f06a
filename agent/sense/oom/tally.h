/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tally.h - does what was told of kills agree with what the kernel counted (/proc/vmstat oom_kill,
 * every kernel kill on the host, since 4.13)? Pure; one tally an agent run.
 *
 * The log may lag behind the counter and the counter is read at intervals: a difference is only
 * spoken of when it has lasted, and once.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_TALLY_H
#define MEMHERD_AGENT_SENSE_OOM_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#define TALLY_PATIENCE_US 3000000

enum tally_state {
	TALLY_AGREES,
	TALLY_WAITING, /* differs, not yet for long */
	TALLY_MISSING, /* the kernel counted more than was told */
	TALLY_SURPLUS  /* more was told than the kernel counted */
};

struct tally {
	bool started;
	int64_t base; /* the counter at the last agreement */
	int64_t told; /* since then */
	int64_t last_difference;
	int64_t since_us; /* when the difference became what it is */
};

/* counter: oom_kill now. Kills of before this call are not to be told to the tally. */
void tally_start(struct tally *t, int64_t counter);
/* A kill, or a repeated kill line of the same victim (OOM_EVENT_AGAIN): the kernel counts both. */
void tally_told(struct tally *t);
/* now_us: any clock that does not go back. *ret_count: how many are missing or surplus, else 0.
 * After TALLY_MISSING or TALLY_SURPLUS the tally begins anew from this counter; so it does,
 * silently, when the counter went back (another boot). */
enum tally_state tally_check(struct tally *t, int64_t counter, int64_t now_us, int64_t *ret_count);

#endif
