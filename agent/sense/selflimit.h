/* SPDX-License-Identifier: Apache-2.0 */
/*
 * selflimit.h - what the agent may cost, and what it gives up when it costs more. Pure.
 *
 * CPU is judged over a minute; memory at each round. Over a ceiling the level rises by one (at most
 * once in SELFLIMIT_STEP_US), far below it for long it falls by one:
 *
 *	1  no PSS, no sampling faster than the base interval
 *	2  rounds half as often
 *	3  a quarter as often
 *
 * Memory that does not come down at level 3 ends the process: the supervisor starts it anew.
 */
#ifndef MEMHERD_AGENT_SENSE_SELFLIMIT_H
#define MEMHERD_AGENT_SENSE_SELFLIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"

#define SELFLIMIT_WINDOW_US (60 * INT64_C(1000000))
#define SELFLIMIT_STEP_US   (30 * INT64_C(1000000))
#define SELFLIMIT_EASE_US   (600 * INT64_C(1000000))
#define SELFLIMIT_LEVELS    3u

struct selflimit_config {
	uint32_t cpu_share; /* of one core, 1/10000; 0 = no ceiling */
	int64_t rss_kib;    /* 0 = no ceiling */
};

struct selflimit {
	struct selflimit_config cfg;
	unsigned level;
	int64_t window_us;  /* when the window began; 0 = none yet */
	int64_t window_cpu; /* CPU time then */
	uint32_t share;     /* of the last whole window, 1/10000 */
	int64_t stepped_us;
	int64_t calm_us; /* below both ceilings since then; 0 = not */
};

enum selflimit_answer {
	SELFLIMIT_AS_BEFORE,
	SELFLIMIT_HARDER, /* the level rose */
	SELFLIMIT_EASED,  /* it fell */
	SELFLIMIT_END,    /* nothing more to give up: start anew */
};

/* cpu_us: used since the process began; rss_kib < 0 = not known. */
enum selflimit_answer selflimit_judge(struct selflimit *s, int64_t boot_us, int64_t cpu_us,
				      int64_t rss_kib);
/* May PSS be read, may it sample faster than usual? */
static inline bool selflimit_allows_extras(const struct selflimit *s)
{
	return s->level == 0;
}
/* By how much the interval is stretched: 1, 2, 4. */
static inline int64_t selflimit_stretch(const struct selflimit *s)
{
	return s->level < 2 ? 1 : INT64_C(1) << (s->level - 1);
}

#endif
