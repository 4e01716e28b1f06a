/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/pairing.h"

#include "tests/support/test.h"

#define TID   7
#define FRAME 0x7ffc00001000
#define ANY   PAIRING_ANY_FRAME

static void a_start_and_a_done_are_a_pause(void **state unused_arg)
{
	struct pairing p = {0};
	struct pause one;

	assert_false(pairing_done(&p, 50, ANY, 1, &one)); /* began before we looked */
	assert_int_equal(pairing_start(&p, 100, TID, FRAME, 2, &one), 0);
	assert_true(pairing_done(&p, 350, ANY, 12, &one));
	assert_int_equal(one.start_ns, 100);
	assert_int_equal(one.duration_ns, 250);
	assert_int_equal(one.collected, 12);
	assert_int_equal(one.generation, 2);
	assert_int_equal(one.tid, TID);
	assert_false(pairing_done(&p, 400, ANY, 12, &one));
}

static void a_call_is_known_by_its_frame(void **state unused_arg)
{
	struct pairing p = {0};
	struct pause one;

	assert_int_equal(pairing_start(&p, 100, TID, FRAME, 0, &one), 0);
	/* the place after the call is passed by others too, deeper and not */
	assert_false(pairing_done(&p, 110, FRAME - 64, 0, &one));
	assert_false(pairing_done(&p, 120, FRAME + 64, 0, &one));
	assert_true(pairing_done(&p, 130, FRAME, 3, &one));
	assert_int_equal(one.duration_ns, 30);
}

static void a_collection_inside_one_is_not_told_twice(void **state unused_arg)
{
	struct pairing p = {0};
	struct pause one;

	assert_int_equal(pairing_start(&p, 100, TID, FRAME, 2, &one), 0);
	assert_int_equal(pairing_start(&p, 110, TID, FRAME - 512, 0, &one), 0);
	assert_false(pairing_done(&p, 120, FRAME - 512, 0, &one));
	assert_true(pairing_done(&p, 200, FRAME, 5, &one));
	assert_int_equal(one.generation, 2);
	assert_int_equal(one.duration_ns, 100);
	/* deeper than anyone goes: nothing is overrun, the outermost is still right */
	for (int i = 0; i < 3 * PAIRING_DEPTH; i++)
		assert_int_equal(pairing_start(&p, 300 + i, TID, FRAME - (uint64_t)i * 64, 1, &one),
				 0);
	assert_true(pairing_done(&p, 400, FRAME, 0, &one));
	assert_int_equal(one.start_ns, 300);
}

static void an_end_that_was_not_seen_has_no_duration(void **state unused_arg)
{
	struct pairing p = {0};
	struct pause one;

	assert_int_equal(pairing_start(&p, 100, TID, FRAME, 1, &one), 0);
	pairing_doubt(&p);
	assert_true(p.open[0].doubtful);
	/* the same place of the stack again: that call has returned */
	assert_int_equal(pairing_start(&p, 200, TID, FRAME, 0, &one), 1);
	assert_int_equal(one.start_ns, 100);
	assert_int_equal(one.duration_ns, -1);
	assert_int_equal(one.collected, -1);
	assert_int_equal(one.generation, 1);
	assert_false(p.open[0].doubtful);
	assert_true(pairing_done(&p, 230, FRAME, 0, &one));
	assert_int_equal(one.start_ns, 200);
	/* a nested one whose end was not seen is none either */
	assert_int_equal(pairing_start(&p, 300, TID, FRAME, 2, &one), 0);
	assert_int_equal(pairing_start(&p, 310, TID, FRAME - 64, 0, &one), 0);
	assert_int_equal(pairing_start(&p, 320, TID, FRAME - 64, 0, &one), 0);
	assert_int_equal(p.depth, 2);
}

static void after_a_loss_nothing_open_is_believed(void **state unused_arg)
{
	struct pairing p = {0};
	struct pause one;

	assert_int_equal(pairing_start(&p, 100, TID, FRAME, 1, &one), 0);
	pairing_reset(&p);
	assert_false(pairing_done(&p, 900, ANY, 0, &one));
	pairing_doubt(&p); /* of none: nothing */
	assert_int_equal(pairing_start(&p, 1000, TID, FRAME, 1, &one), 0);
	assert_true(pairing_done(&p, 1010, ANY, 0, &one));
	assert_int_equal(one.duration_ns, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_start_and_a_done_are_a_pause),
		cmocka_unit_test(a_call_is_known_by_its_frame),
		cmocka_unit_test(a_collection_inside_one_is_not_told_twice),
		cmocka_unit_test(an_end_that_was_not_seen_has_no_duration),
		cmocka_unit_test(after_a_loss_nothing_open_is_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
