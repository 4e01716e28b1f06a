/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a leader: whose the lease is, by our clock. */
#include "collector/leader.h"
#include "tests/support/test.h"

#define SEC 1000000LL

static void none_leads_before_the_first_turn(void **state unused_arg)
{
	struct leader_state s = {.lease_us = 15 * SEC};

	assert_false(leader_is(&s, 0));
	leader_heard(&s, 1 * SEC, 0, true);
	assert_false(leader_is(&s, 1 * SEC));
}

static void a_lease_counts_from_when_it_was_asked_for(void **state unused_arg)
{
	struct leader_state s = {.lease_us = 15 * SEC};

	leader_heard(&s, 10 * SEC, 4, true);
	assert_true(leader_is(&s, 25 * SEC - 1));
	assert_false(leader_is(&s, 25 * SEC));
}

static void what_ran_out_stays_so_until_the_next_turn(void **state unused_arg)
{
	struct leader_state s = {.lease_us = 15 * SEC};

	leader_heard(&s, 10 * SEC, 4, true);
	leader_look(&s, 30 * SEC);
	s.alone = true; /* would keep one that leads, not bring it back */
	assert_false(leader_is(&s, 30 * SEC));
	assert_int_equal(s.fence, 4);
	leader_heard(&s, 31 * SEC, 4, true);
	assert_true(leader_is(&s, 40 * SEC));
}

static void another_takes_it(void **state unused_arg)
{
	struct leader_state s = {.lease_us = 15 * SEC};

	leader_heard(&s, 10 * SEC, 4, true);
	leader_heard(&s, 12 * SEC, 0, true);
	assert_false(leader_is(&s, 12 * SEC));
}

static void who_is_alone_leads_on_without_a_database(void **state unused_arg)
{
	struct leader_state s = {.lease_us = 15 * SEC};

	leader_heard(&s, 10 * SEC, 4, false);
	leader_look(&s, 3600 * SEC);
	assert_true(leader_is(&s, 3600 * SEC));
	leader_heard(&s, 3601 * SEC, 4, true);
	assert_false(leader_is(&s, 3617 * SEC));
}

static void it_is_renewed_in_time(void **state unused_arg)
{
	const struct leader_state s = {.lease_us = 15 * SEC};

	assert_int_equal(leader_next_us(&s), 5 * SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_leads_before_the_first_turn),
		cmocka_unit_test(a_lease_counts_from_when_it_was_asked_for),
		cmocka_unit_test(what_ran_out_stays_so_until_the_next_turn),
		cmocka_unit_test(another_takes_it),
		cmocka_unit_test(who_is_alone_leads_on_without_a_database),
		cmocka_unit_test(it_is_renewed_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
