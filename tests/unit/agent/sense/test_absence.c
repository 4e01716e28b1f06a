/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/absence.h"

#include "tests/support/test.h"

#define SEC  INT64_C(1000000)
#define WALL (INT64_C(1700000000) * SEC) /* 2023-11-14T22:13:20Z */

static const char *value_of(const struct absence *a, const char *key)
{
	for (size_t i = 0; i < a->event.n_details; i++)
		if (strcmp(a->keys[i], key) == 0)
			return a->values[i];
	return "";
}

static void absence_names_service_time_and_pid(void **state unused_arg)
{
	const struct service_change c = {.pattern = "shop", .since_us = 100 * SEC, .last_pid = 17};
	struct absence a;

	absence_describe(&a, &c, WALL, 160 * SEC);
	assert_int_equal(a.event.kind, WIRE_EVENT_ABSENT);
	assert_int_equal(a.event.t_wall_us, WALL);
	assert_string_equal(a.event.text, "expected service 'shop' has had no process since "
					  "2023-11-14T22:12:20.000Z (last pid 17)");
	assert_string_equal(value_of(&a, "service"), "shop");
	assert_string_equal(value_of(&a, "last_seen"), "2023-11-14T22:12:20.000Z");
	assert_string_equal(value_of(&a, "away_seconds"), "60");
	assert_string_equal(value_of(&a, "last_pid"), "17");
	assert_string_equal(value_of(&a, "incarnation"), "");
}

static void return_tells_how_long_it_was_away(void **state unused_arg)
{
	const struct service_change c = {.back = true,
					 .pattern = "shop",
					 .since_us = 100 * SEC,
					 .last_pid = 17,
					 .incarnation = 3};
	struct absence a;

	absence_describe(&a, &c, WALL, 400 * SEC);
	assert_int_equal(a.event.kind, WIRE_EVENT_BACK);
	assert_string_equal(a.event.text, "expected service 'shop' is back after 5 min");
	assert_string_equal(value_of(&a, "incarnation"), "3");
}

static void what_was_never_seen_is_said_so(void **state unused_arg)
{
	char pattern[WIRE_NAME_MAX + 1];
	const struct service_change c = {.never_seen = true, .pattern = pattern};
	struct absence a;

	memset(pattern, 'n', sizeof(pattern) - 1);
	pattern[sizeof(pattern) - 1] = '\0';
	absence_describe(&a, &c, WALL, 60 * SEC);
	assert_non_null(strstr(a.event.text, "not been seen since the agent started"));
	assert_string_equal(value_of(&a, "watched_since"), "2023-11-14T22:12:20.000Z");
	assert_string_equal(value_of(&a, "last_pid"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(absence_names_service_time_and_pid),
		cmocka_unit_test(return_tells_how_long_it_was_away),
		cmocka_unit_test(what_was_never_seen_is_said_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
