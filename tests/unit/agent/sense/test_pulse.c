/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/pulse.h"

#include <string.h>

#include "proto/metric.h"
#include "tests/support/test.h"

#define SEC INT64_C(1000000)
#define GIB (INT64_C(1024) * 1024)

static struct pulse_beat beat(int64_t sec, int64_t available)
{
	return (struct pulse_beat){.boot_us = sec * SEC,
				   .available = available,
				   .total = 4 * GIB,
				   .psi_some10 = METRIC_ABSENT};
}

/* Feeds n seconds in which available memory falls by fall each; the second in which it became
 * fast, or -1. */
static int fall_for(struct pulse *p, int n, int64_t from, int64_t fall)
{
	char why[PULSE_WHY_SIZE];

	for (int i = 0; i < n; i++) {
		struct pulse_beat b = beat(100 + i, from - i * fall);

		if (pulse_feel(p, &b, why))
			return i;
	}
	return -1;
}

static void a_steady_host_is_left_alone(void **state unused_arg)
{
	struct pulse p = {0};

	assert_int_equal(fall_for(&p, 600, 100 * 1024, 0), -1); /* nearly full, and stays so */
	p = (struct pulse){0};
	assert_int_equal(fall_for(&p, 600, 3 * GIB, 100), -1); /* falls, for days to come */
}

static void a_fall_that_ends_soon_makes_it_fast(void **state unused_arg)
{
	struct pulse p = {0};
	int at = fall_for(&p, 60, 2 * GIB, 50 * 1024); /* 40 s are left */

	assert_in_range(at, 4, 10);
	assert_true(p.fast);
}

static void fast_holds_for_a_while_and_ends(void **state unused_arg)
{
	struct pulse p = {0};
	struct pulse_beat b = beat(10, GIB);
	char why[PULSE_WHY_SIZE];
	int changed = 0;

	b.trigger = true;
	assert_true(pulse_feel(&p, &b, why));
	assert_non_null(strstr(why, "waited for memory"));
	for (int i = 1; i <= 31; i++) {
		b = beat(10 + i, GIB);
		if (pulse_feel(&p, &b, why)) {
			changed = i;
			assert_string_equal(why, "");
		}
	}
	assert_int_equal(changed, PULSE_HOLD_US / SEC);
	assert_false(p.fast);
}

static void high_pressure_is_enough(void **state unused_arg)
{
	struct pulse p = {0};
	struct pulse_beat b = beat(10, GIB);
	char why[PULSE_WHY_SIZE];

	b.psi_some10 = PULSE_PSI_HIGH - 1;
	assert_false(pulse_feel(&p, &b, why));
	b.psi_some10 = 2500;
	assert_true(pulse_feel(&p, &b, why));
	assert_non_null(strstr(why, "25 %"));
	b.psi_some10 = 9000;
	assert_false(pulse_feel(&p, &b, why)); /* it is fast already */
}

static void nothing_known_changes_nothing(void **state unused_arg)
{
	struct pulse p = {0};
	struct pulse_beat b = {.boot_us = SEC,
			       .available = METRIC_ABSENT,
			       .total = METRIC_ABSENT,
			       .psi_some10 = METRIC_ABSENT};
	char why[PULSE_WHY_SIZE];

	for (int i = 0; i < 40; i++)
		assert_false(pulse_feel(&p, &b, why));
	assert_int_equal(p.n, 0);
}

static void a_cgroup_near_its_limit_makes_it_fast(void **state unused_arg)
{
	struct pulse p = {0};
	char why[PULSE_WHY_SIZE];

	/* full of cache and still: no */
	assert_false(pulse_cgroup(&p, SEC, "/a", 40000, 40000, 40960, 10 * SEC, why));
	/* grows by less than a hundredth of the limit: no */
	assert_false(pulse_cgroup(&p, SEC, "/a", 40000, 40300, 40960, 10 * SEC, why));
	/* an hour is left */
	assert_false(pulse_cgroup(&p, SEC, "/a", 1000, 1500, 40960, 60 * SEC, why));
	assert_true(pulse_cgroup(&p, SEC, "/a", 20000, 25000, 40960, 10 * SEC, why));
	assert_string_equal(why, "/a reaches its limit of 40 MiB in 31 s");
	/* over it already (charged elsewhere first): nothing is left to tell a time from */
	p = (struct pulse){0};
	assert_false(pulse_cgroup(&p, SEC, "/a", 40000, 42000, 40960, 10 * SEC, why));
}

static void the_time_left_is_never_a_guess(void **state unused_arg)
{
	assert_int_equal(pulse_time_left(100, 10, 1000), 10000);
	assert_int_equal(pulse_time_left(100, 0, 1000), -1);
	assert_int_equal(pulse_time_left(100, -5, 1000), -1);
	assert_int_equal(pulse_time_left(100, 5, 0), -1);
	assert_int_equal(pulse_time_left(-1, 5, 10), -1);
	assert_int_equal(pulse_time_left(INT64_MAX / 2, 1, INT64_MAX / 2), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_steady_host_is_left_alone),
		cmocka_unit_test(a_fall_that_ends_soon_makes_it_fast),
		cmocka_unit_test(fast_holds_for_a_while_and_ends),
		cmocka_unit_test(high_pressure_is_enough),
		cmocka_unit_test(nothing_known_changes_nothing),
		cmocka_unit_test(a_cgroup_near_its_limit_makes_it_fast),
		cmocka_unit_test(the_time_left_is_never_a_guess),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
