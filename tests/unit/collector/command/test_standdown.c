/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/standdown.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "tests/support/test.h"

#define MIN_US (60 * USEC_PER_SEC)
#define NOW    (1000000 * MIN_US)

static const struct standdown_limits limits = {.max_running = 4,
					       .max_per_hour = 20,
					       .cooldown_us = 10 * MIN_US,
					       .canary_us = 60 * MIN_US,
					       .breaker = 3,
					       .breaker_us = 30 * MIN_US};

static int judge(const struct standdown_limits *l, struct standdown_facts f, bool rule,
		 const char *why)
{
	struct error err = {""};
	int rc;

	f.busy = f.busy ? f.busy : "";
	f.canary = f.canary ? f.canary : "";
	rc = standdown_judge(l, &f, rule, NOW, &err);
	if (rc)
		assert_non_null(strstr(err.msg, why));
	return rc;
}

#define NEW(...)   ((struct standdown_facts){__VA_ARGS__})
#define FACTS(...) ((struct standdown_facts){.proven_us = NOW - MIN_US, __VA_ARGS__})

static void the_fleets_limits_hold_for_all(void **state unused_arg)
{
	for (int rule = 0; rule < 2; rule++) {
		assert_int_equal(judge(&limits, FACTS(.running = 3, .last_hour = 19), rule, ""), 0);
		assert_int_equal(judge(&limits, FACTS(.running = 4), rule, "action_max_running"),
				 -EDQUOT);
		assert_int_equal(judge(&limits, FACTS(.last_hour = 20), rule,
				       "action_max_per_hour"),
				 -EDQUOT);
		assert_int_equal(judge(&limits, FACTS(.busy = "web-7"), rule, "'web-7'"), -EBUSY);
	}
}

static void a_target_cools_down(void **state unused_arg)
{
	assert_int_equal(judge(&limits, FACTS(.touched_us = NOW - 9 * MIN_US), true,
			       "cools down for another 60 s"),
			 -EAGAIN);
	assert_int_equal(judge(&limits, FACTS(.touched_us = NOW - 10 * MIN_US), true, ""), 0);
	assert_int_equal(judge(&limits, FACTS(.touched_us = NOW - MIN_US), false, ""), 0);
}

static void the_first_of_many_goes_alone(void **state unused_arg)
{
	struct standdown_limits none = limits;

	assert_int_equal(judge(&limits, NEW(.proven_us = 0), true, ""), 0);
	assert_int_equal(judge(&limits, NEW(.proven_us = 0, .canary = "web-1"), true, "'web-1'"),
			 -EAGAIN);
	assert_int_equal(judge(&limits, NEW(.proven_us = NOW - 60 * MIN_US, .canary = "web-1"),
			       true, "no verdict"),
			 -EAGAIN);
	assert_int_equal(judge(&limits, FACTS(.canary = "web-1"), true, ""), 0);
	assert_int_equal(judge(&limits, NEW(.proven_us = 0, .canary = "web-1"), false, ""), 0);
	none.canary_us = 0;
	assert_int_equal(judge(&none, NEW(.proven_us = 0, .canary = "web-1"), true, ""), 0);
}

static void what_gives_nothing_stops(void **state unused_arg)
{
	const struct standdown_facts open = FACTS(.bad = 3, .bad_us = NOW - 29 * MIN_US);
	struct standdown_facts over = FACTS(.bad = 3, .bad_us = NOW - 30 * MIN_US);
	struct standdown_limits never = limits;

	assert_int_equal(judge(&limits, FACTS(.bad = 2, .bad_us = NOW), true, ""), 0);
	assert_int_equal(judge(&limits, open, true, "breaker is open for another 60 s"), -EAGAIN);
	assert_int_equal(judge(&limits, open, false, ""), 0);
	assert_int_equal(judge(&limits, over, true, ""), 0);
	/* then one at a time, whatever it gained before */
	over.canary = "web-1";
	assert_int_equal(judge(&limits, over, true, "no verdict"), -EAGAIN);
	never.canary_us = 0;
	assert_int_equal(judge(&never, over, true, "no verdict"), -EAGAIN);
	never.breaker = 0;
	assert_int_equal(judge(&never, open, true, ""), 0);
}

static void zeros_limit_nothing(void **state unused_arg)
{
	const struct standdown_limits none = {.max_running = 0};

	assert_int_equal(judge(&none,
			       FACTS(.running = 1000, .last_hour = 100000, .touched_us = NOW,
				     .canary = "web-1", .bad = 100, .bad_us = NOW),
			       true, ""),
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_fleets_limits_hold_for_all),
		cmocka_unit_test(a_target_cools_down),
		cmocka_unit_test(the_first_of_many_goes_alone),
		cmocka_unit_test(what_gives_nothing_stops),
		cmocka_unit_test(zeros_limit_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
