/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standdown.h - whether one more action may be asked for now. Pure: limits, what the table says and
 * the clock come in. The table is asked under the audit table's lock, in the transaction that adds
 * the action, so no two collectors and no two requests pass a limit together.
 *
 * People are bound by what protects the fleet: its limits, and one action at a time per service.
 * Rules also wait between two actions on a target, for the verdict of the first of many, and stop
 * when the same remedy gives nothing.
 */
#ifndef MEMHERD_COLLECTOR_COMMAND_STANDDOWN_H
#define MEMHERD_COLLECTOR_COMMAND_STANDDOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct standdown_limits {
	int64_t max_running;  /* actions under way at once over the fleet; 0 = any number */
	int64_t max_per_hour; /* 0 = any number */
	int64_t cooldown_us;  /* between two of a rule on one service, or process without one */
	int64_t canary_us;    /* so long a rule's success proves its action; 0 = no canary */
	int64_t breaker;      /* results in a row that gave nothing; 0 = never stops */
	int64_t breaker_us;   /* how long it then stops */
};

/* What the table says; times 0 = never. */
struct standdown_facts {
	int64_t running;
	int64_t last_hour;
	const char *busy; /* the host whose service is being acted on; '' = none */
	int64_t touched_us;
	int64_t proven_us; /* the rule's last action of the kind that gained */
	const char
		*canary; /* the host where one of the rule's is under way or not judged yet; '' */
	int64_t bad;     /* the rule's last results in a row that gave nothing */
	int64_t bad_us;  /* when the last of these ended */
};

/*
 * 0: it may. Else err says why: -EBUSY the service is being acted on, -EDQUOT the fleet's limits,
 * -EAGAIN (rules only) cooldown, canary or breaker. All pass with time.
 */
int standdown_judge(const struct standdown_limits *l, const struct standdown_facts *f, bool rule,
		    int64_t now_us, struct error *err) must_use;

#endif
