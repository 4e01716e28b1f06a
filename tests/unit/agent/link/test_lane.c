/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "agent/link/lane.h"

#include <errno.h>

#include "agent/record.h"
#include "tests/support/test.h"

#include "tests/support/alloc.h"

#define KIB(n) ((size_t)(n)*1024)

static const uint64_t epochs[LANE_COUNT] = {[LANE_URGENT] = 8, [LANE_SAMPLES] = 7};

static void put(struct lanes *ls, enum wire_record kind, size_t len)
{
	static const uint8_t body[RECORD_MAX_BODY];

	(void)!spool_add(ls->of[lane_of_kind(kind)].spool, kind, kind == WIRE_TICK, 1, body, len);
}

static void all_but_samples_is_urgent(void **state unused_arg)
{
	assert_int_equal(lane_of_kind(WIRE_TICK), LANE_SAMPLES);
	assert_int_equal(lane_of_kind(WIRE_EVENT), LANE_URGENT);
	assert_int_equal(lane_of_kind(WIRE_KILL), LANE_URGENT);
	assert_int_equal(lane_of_kind(WIRE_POSTURE), LANE_URGENT);
	assert_string_equal(lane_name(LANE_URGENT), "urgent");
	assert_string_equal(lane_name(LANE_SAMPLES), "samples");
}

static void the_urgent_budget_holds_the_largest_record(void **state unused_arg)
{
	struct lanes ls;
	struct spool_stats st;

	assert_int_equal(lane_urgent_bytes(KIB(64)), KIB(256));
	assert_int_equal(lane_urgent_bytes(KIB(4096)), KIB(512));
	assert_int_equal(lanes_init(&ls, epochs, KIB(64)), 0);
	put(&ls, WIRE_KILL, RECORD_MAX_BODY);
	spool_stats(ls.of[LANE_URGENT].spool, &st);
	assert_int_equal(st.held_records, 1);
	lanes_fini(&ls);
}

static void the_urgent_lane_has_right_of_way(void **state unused_arg)
{
	struct lanes ls;

	assert_int_equal(lanes_init(&ls, epochs, KIB(64)), 0);
	assert_int_equal(lanes_next(&ls), LANES_MAX);
	put(&ls, WIRE_TICK, 10);
	assert_int_equal(lanes_next(&ls), LANE_SAMPLES);
	put(&ls, WIRE_EVENT, 10);
	assert_int_equal(lanes_next(&ls), LANE_URGENT);
	spool_sent(ls.of[LANE_URGENT].spool);
	assert_int_equal(lanes_next(&ls), LANE_SAMPLES);
	lanes_fini(&ls);
}

static void each_has_numbers_of_its_own(void **state unused_arg)
{
	struct wire_epoch told[LANES_MAX];
	struct spool_stats st;
	struct lanes ls;

	assert_int_equal(lanes_init(&ls, epochs, KIB(64)), 0);
	assert_true(lanes_drained(&ls));
	put(&ls, WIRE_TICK, 10);
	put(&ls, WIRE_TICK, 10);
	put(&ls, WIRE_KILL, 10);
	assert_false(lanes_drained(&ls));
	lanes_epochs(&ls, told);
	assert_int_equal(told[LANE_URGENT].epoch, 8);
	assert_int_equal(told[LANE_URGENT].seq_max, 1);
	assert_int_equal(told[LANE_SAMPLES].epoch, 7);
	assert_int_equal(told[LANE_SAMPLES].seq_max, 2);
	lanes_sum(&ls, &st);
	assert_int_equal(st.produced, 3);
	assert_int_equal(st.held_records, 3);
	assert_ptr_equal(lanes_find(&ls, 7), &ls.of[LANE_SAMPLES]);
	assert_null(lanes_find(&ls, 9));
	spool_sent(ls.of[LANE_URGENT].spool);
	assert_int_equal(spool_ack(lanes_find(&ls, 8)->spool, 1), 0);
	assert_int_equal(spool_ack(lanes_find(&ls, 7)->spool, 1), -ERANGE); /* was not sent */
	assert_false(lanes_drained(&ls));
	lanes_fini(&ls);
}

static void without_memory_there_are_none(void **state unused_arg)
{
	for (unsigned at = 1; at <= LANE_COUNT; at++) {
		struct lanes ls;

		alloc_fail_at(at);
		assert_int_equal(lanes_init(&ls, epochs, KIB(64)), -ENOMEM);
		alloc_fail_off();
		lanes_fini(&ls);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_but_samples_is_urgent),
		cmocka_unit_test(the_urgent_budget_holds_the_largest_record),
		cmocka_unit_test(the_urgent_lane_has_right_of_way),
		cmocka_unit_test(each_has_numbers_of_its_own),
		cmocka_unit_test(without_memory_there_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
