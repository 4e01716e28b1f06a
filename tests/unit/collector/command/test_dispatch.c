/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/dispatch.h"

#include "tests/support/test.h"

static const char *state(enum command_status status, int64_t before, int64_t after)
{
	const struct command_result r = {.status = status,
					 .rss_before = before,
					 .rss_after = after};

	return dispatch_state_of(&r);
}

static void what_gained_nothing_is_ineffective(void **state_ unused_arg)
{
	assert_string_equal(state(COMMAND_DONE, 1000, 949), "done");
	assert_string_equal(state(COMMAND_DONE, 1000, 950), "ineffective");
	assert_string_equal(state(COMMAND_DONE, 1000, 2000), "ineffective");
	assert_string_equal(state(COMMAND_DONE, INT64_MAX, INT64_MAX), "ineffective");
}

static void what_was_not_measured_is_believed(void **state_ unused_arg)
{
	assert_string_equal(state(COMMAND_DONE, -1, -1), "done");
	assert_string_equal(state(COMMAND_DONE, 1000, -1), "done");
	assert_string_equal(state(COMMAND_DONE, 0, 0), "done");
}

static void each_status_has_its_state(void **state_ unused_arg)
{
	assert_string_equal(state(COMMAND_DRY_RUN, 1000, -1), "done");
	assert_string_equal(state(COMMAND_REFUSED, -1, -1), "refused");
	assert_string_equal(state(COMMAND_FAILED, 1000, 1000), "failed");
	assert_string_equal(state(COMMAND_UNREACHABLE, -1, -1), "failed");
	assert_string_equal(state(COMMAND_UNKNOWN, -1, -1), "unknown");
	assert_string_equal(state((enum command_status)99, -1, -1), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_gained_nothing_is_ineffective),
		cmocka_unit_test(what_was_not_measured_is_believed),
		cmocka_unit_test(each_status_has_its_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
