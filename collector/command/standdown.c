/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/standdown.h"

#include <errno.h>
#include <inttypes.h>

#include "common/str.h"

static int judge_fleet(const struct standdown_limits *l, const struct standdown_facts *f,
		       struct error *err)
{
	if (*f->busy)
		return error_set(err, -EBUSY,
				 "another action is under way on this service, on host '%s'",
				 f->busy);
	if (l->max_running && f->running >= l->max_running)
		return error_set(err, -EDQUOT,
				 "%" PRId64
				 " actions are under way in the fleet, as many as may be "
				 "(action_max_running)",
				 f->running);
	if (l->max_per_hour && f->last_hour >= l->max_per_hour)
		return error_set(err, -EDQUOT,
				 "%" PRId64
				 " actions were asked for in the last hour, as many as may "
				 "be (action_max_per_hour)",
				 f->last_hour);
	return 0;
}

static int until(struct error *err, int64_t us, const char *why)
{
	char span[STR_UNIT_SIZE];

	return error_set(err, -EAGAIN, "%s for another %s", why, str_duration(span, us));
}

static int judge_rule(const struct standdown_limits *l, const struct standdown_facts *f,
		      int64_t now_us, struct error *err)
{
	bool tripped = l->breaker && f->bad >= l->breaker;
	bool proven = f->proven_us && now_us - f->proven_us < l->canary_us && !tripped;

	if (tripped && now_us - f->bad_us < l->breaker_us)
		return until(
			err, f->bad_us + l->breaker_us - now_us,
			"this remedy gave nothing several times in a row; the rule's breaker is "
			"open");
	if (f->touched_us && now_us - f->touched_us < l->cooldown_us)
		return until(err, f->touched_us + l->cooldown_us - now_us,
			     "the same was done there a short while ago; it cools down");
	/* After a breaker there is one at a time again, canary or not. */
	if ((l->canary_us || tripped) && !proven && *f->canary)
		return error_set(err, -EAGAIN,
				 "the rule's first such action, on host '%s', has no verdict yet",
				 f->canary);
	return 0;
}

int standdown_judge(const struct standdown_limits *l, const struct standdown_facts *f, bool rule,
		    int64_t now_us, struct error *err)
{
	int rc = judge_fleet(l, f, err);

	return rc < 0 || !rule ? rc : judge_rule(l, f, now_us, err);
}
