/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pulse.h - how fast to sample: at the base interval in peace, at 1 s while memory is running out,
 * so that what led to a kill is known second by second. Pure: figures and times in, a pace out.
 *
 * Fast while one of these holds, and for PULSE_HOLD_US after:
 * - the kernel reports that tasks wait for memory (a PSI trigger fired, or some avg10 is high),
 * - the host, or a cgroup with a limit, will have none left within PULSE_SOON_US at the rate of the
 *   last seconds. Being full alone is no reason: a cache may stay at its limit for months.
 */
#ifndef MEMHERD_AGENT_SENSE_PULSE_H
#define MEMHERD_AGENT_SENSE_PULSE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"

#define PULSE_HOLD_US  (30 * INT64_C(1000000))
#define PULSE_SOON_US  (300 * INT64_C(1000000))
#define PULSE_PSI_HIGH 1000 /* some avg10, 1/10000 */
#define PULSE_BEATS    16   /* of available memory, one or two seconds apart */
#define PULSE_SPAN_MIN (4 * INT64_C(1000000))
#define PULSE_WHY_SIZE 160
/* A fall of less than this over the beats that are kept says nothing. */
#define PULSE_FALL_MIN_PER_10000 100

struct pulse {
	int64_t until_us; /* fast until then; boot time */
	bool fast;
	unsigned n;
	unsigned at; /* where the next beat goes */
	int64_t t_us[PULSE_BEATS];
	int64_t available[PULSE_BEATS]; /* KiB */
};

struct pulse_beat {
	int64_t boot_us;
	int64_t available; /* KiB; METRIC_ABSENT = not known */
	int64_t total;
	int64_t psi_some10; /* 1/10000 */
	bool trigger;       /* the kernel's PSI trigger fired since the last beat */
};

/* True when the mode changed by this beat; why then says in words for what (fast) or '' (peace). */
bool pulse_feel(struct pulse *p, const struct pulse_beat *b, char why[PULSE_WHY_SIZE]);
/* A kill happened: the next seconds matter. True when that makes it fast. */
bool pulse_hurry(struct pulse *p, int64_t boot_us);
/* Something else says that a kill is near: a cgroup will reach its limit at this rate. KiB, KiB and
 * microseconds between the two readings. True when that makes it fast. */
bool pulse_cgroup(struct pulse *p, int64_t boot_us, const char *path, int64_t before, int64_t now,
		  int64_t limit, int64_t between_us, char why[PULSE_WHY_SIZE]);
/* Microseconds until what is left is used up at the present fall, or -1: it does not fall, or by
 * too little to tell. */
int64_t pulse_time_left(int64_t left, int64_t fallen, int64_t span_us);

#endif
