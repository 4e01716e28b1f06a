/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/allowance.h"

#include "common/check.h"
#include "common/clock.h"
#include "tests/support/test.h"

#define RATE (64 * 1024)

static void a_burst_is_free_and_debt_is_waited_for(void **state unused_arg)
{
	struct allowance a;

	allowance_init(&a, 5);
	assert_int_equal(allowance_take(&a, RATE, ALLOWANCE_BURST, 5), 0);
	assert_int_equal(allowance_take(&a, RATE, RATE, 5), USEC_PER_SEC);
	/* a second later that is paid, and the next is owed again */
	assert_int_equal(allowance_take(&a, RATE, 0, 5 + USEC_PER_SEC), 0);
	assert_int_equal(allowance_take(&a, RATE, RATE / 2, 5 + USEC_PER_SEC), USEC_PER_SEC / 2);
}

static void what_was_not_used_is_no_more_than_a_burst(void **state unused_arg)
{
	struct allowance a;
	int64_t year = 365LL * 24 * 3600 * USEC_PER_SEC;

	allowance_init(&a, 0);
	assert_int_equal(allowance_take(&a, INT64_C(64) << 20, ALLOWANCE_BURST, year), 0);
	assert_true(allowance_take(&a, RATE, 1, year) > 0);
}

/* Whoever waits as told gets the rate, whatever comes in which pieces. */
static void over_time_the_rate_holds(void **state unused_arg)
{
	struct allowance a;
	int64_t now = 0, sent = 0;

	allowance_init(&a, now);
	for (size_t len = 1; now < 600 * USEC_PER_SEC; len = len * 7 % 200003 + 1) {
		now += allowance_take(&a, RATE, len, now) + 10;
		sent += (int64_t)len;
	}
	assert_true(sent <= ALLOWANCE_BURST + (now / USEC_PER_SEC + 1) * RATE + 200003);
	assert_true(sent >= ALLOWANCE_BURST + now / USEC_PER_SEC * RATE * 98 / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_is_free_and_debt_is_waited_for),
		cmocka_unit_test(what_was_not_used_is_no_more_than_a_burst),
		cmocka_unit_test(over_time_the_rate_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
