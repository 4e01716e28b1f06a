/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/tally.h"

#include "tests/support/test.h"

#define SECOND 1000000

static void what_agrees_agrees(void **state unused_arg)
{
	struct tally t = {.started = false};
	int64_t n;

	/* The first look only begins. */
	assert_int_equal(tally_check(&t, 7, 0, &n), TALLY_AGREES);
	assert_int_equal(tally_check(&t, 7, SECOND, &n), TALLY_AGREES);
	tally_told(&t);
	tally_told(&t);
	assert_int_equal(tally_check(&t, 9, 2 * SECOND, &n), TALLY_AGREES);
	assert_int_equal(n, 0);
}

static void a_log_that_lags_is_waited_for(void **state unused_arg)
{
	struct tally t;
	int64_t n;

	tally_start(&t, 10);
	assert_int_equal(tally_check(&t, 12, 0, &n), TALLY_WAITING);
	tally_told(&t);
	assert_int_equal(tally_check(&t, 12, 2 * SECOND, &n), TALLY_WAITING);
	tally_told(&t);
	assert_int_equal(tally_check(&t, 12, 4 * SECOND, &n), TALLY_AGREES);
	/* In a burst the log stays behind by one or two: never by the same for long. */
	for (int64_t i = 1; i < 20; i++) {
		assert_int_equal(tally_check(&t, 12 + 2 * i, (4 + 2 * i) * SECOND, &n),
				 TALLY_WAITING);
		tally_told(&t);
		assert_int_equal(tally_check(&t, 12 + 2 * i, (5 + 2 * i) * SECOND, &n),
				 TALLY_WAITING);
		if (i > 1)
			tally_told(&t);
	}
}

static void what_is_missing_is_told_once(void **state unused_arg)
{
	struct tally t;
	int64_t n;

	tally_start(&t, 0);
	tally_told(&t);
	assert_int_equal(tally_check(&t, 3, 0, &n), TALLY_WAITING);
	assert_int_equal(n, 0);
	assert_int_equal(tally_check(&t, 3, TALLY_PATIENCE_US - 1, &n), TALLY_WAITING);
	assert_int_equal(tally_check(&t, 3, TALLY_PATIENCE_US, &n), TALLY_MISSING);
	assert_int_equal(n, 2);
	assert_int_equal(tally_check(&t, 3, 9 * TALLY_PATIENCE_US, &n), TALLY_AGREES);
}

static void a_kill_lost_in_a_burst_is_missed_when_it_is_over(void **state unused_arg)
{
	enum tally_state said = TALLY_AGREES;
	struct tally t;
	int64_t n;

	/* One a second; the log is a second late, and says nothing of the third. */
	tally_start(&t, 0);
	for (int64_t i = 1; i < 30 && said != TALLY_MISSING; i++) {
		said = tally_check(&t, i, i * SECOND, &n);
		if (i != 3)
			tally_told(&t);
		assert_true(said != TALLY_SURPLUS);
		assert_true(said != TALLY_MISSING || i > 3);
	}
	/* As many were told as were counted some seconds before: only its end shows the loss. */
	assert_int_equal(said, TALLY_WAITING);
	assert_int_equal(tally_check(&t, 29, 30 * SECOND, &n), TALLY_WAITING);
	assert_int_equal(tally_check(&t, 29, 34 * SECOND, &n), TALLY_MISSING);
	assert_int_equal(n, 1);
}

static void a_surplus_is_told_after_the_same_wait(void **state unused_arg)
{
	struct tally t;
	int64_t n;

	tally_start(&t, 5);
	tally_told(&t);
	assert_int_equal(tally_check(&t, 5, 0, &n), TALLY_WAITING);
	assert_int_equal(tally_check(&t, 5, TALLY_PATIENCE_US, &n), TALLY_SURPLUS);
	assert_int_equal(n, 1);
}

static void a_counter_that_went_back_begins_anew(void **state unused_arg)
{
	struct tally t;
	int64_t n;

	tally_start(&t, 50);
	tally_told(&t);
	assert_int_equal(tally_check(&t, 1, 0, &n), TALLY_AGREES);
	assert_int_equal(tally_check(&t, 1, 9 * TALLY_PATIENCE_US, &n), TALLY_AGREES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_agrees_agrees),
		cmocka_unit_test(a_log_that_lags_is_waited_for),
		cmocka_unit_test(what_is_missing_is_told_once),
		cmocka_unit_test(a_kill_lost_in_a_burst_is_missed_when_it_is_over),
		cmocka_unit_test(a_surplus_is_told_after_the_same_wait),
		cmocka_unit_test(a_counter_that_went_back_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
