/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/retry.h"

#include "common/check.h"

#include "tests/support/test.h"

#define SEC INT64_C(1000000)

static struct retry fresh(void)
{
	return (struct retry){.base_us = SEC, .cap_us = 300 * SEC, .first_us = 30 * SEC};
}

static void limit_doubles_up_to_the_cap(void **state unused_arg)
{
	struct retry r = fresh();
	int64_t limit = SEC;

	for (int n = 0; n < 200; n++) {
		struct retry again = r;

		/* the largest value of uniform(0, limit), then the smallest */
		assert_int_equal(retry_delay(&again, (uint64_t)limit), limit);
		assert_int_equal(retry_delay(&r, 0), 0);
		limit = limit * 2 > 300 * SEC ? 300 * SEC : limit * 2;
	}
}

static void a_connection_that_worked_spreads_the_first_retry(void **state unused_arg)
{
	struct retry r = fresh();

	for (int i = 0; i < 9; i++)
		assert_true(retry_delay(&r, UINT64_MAX) <= 300 * SEC);
	retry_worked(&r);
	assert_int_equal(retry_delay(&r, 30 * SEC), 30 * SEC);
	/* then from the start */
	assert_int_equal(retry_delay(&r, SEC), SEC);
	assert_int_equal(retry_delay(&r, 2 * SEC), 2 * SEC);
}

static void goaway_is_obeyed_within_reason(void **state unused_arg)
{
	struct retry r = fresh();

	retry_ask(&r, 5000, 7000);
	assert_int_equal(retry_delay(&r, 0), 5 * SEC);
	assert_true(retry_delay(&r, 0) <= SEC); /* once */
	retry_ask(&r, 5000, 7000);
	assert_int_equal(retry_delay(&r, 2 * SEC), 7 * SEC);
	retry_ask(&r, 9000, 1000); /* the wrong way round */
	assert_int_equal(retry_delay(&r, 12345), 9 * SEC);
	retry_ask(&r, UINT32_MAX, UINT32_MAX);
	assert_int_equal(retry_delay(&r, 77), RETRY_ASKED_MAX_US);
}

static void delays_cover_the_range_evenly(void **state unused_arg)
{
	struct retry r = fresh();
	unsigned bins[10] = {0};
	uint64_t x = 88172645463325252u;

	for (int i = 0; i < 10000; i++) {
		int64_t d;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		r.failures = 3;
		d = retry_delay(&r, x);
		assert_in_range(d, 0, 8 * SEC);
		bins[d * 10 / (8 * SEC + 1)]++;
	}
	for (size_t i = 0; i < 10; i++)
		assert_in_range(bins[i], 800, 1200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limit_doubles_up_to_the_cap),
		cmocka_unit_test(a_connection_that_worked_spreads_the_first_retry),
		cmocka_unit_test(goaway_is_obeyed_within_reason),
		cmocka_unit_test(delays_cover_the_range_evenly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
