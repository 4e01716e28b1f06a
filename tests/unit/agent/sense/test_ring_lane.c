/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/ring_lane.h"

#include "tests/support/test.h"

/* Each round tells three keys whose deltas follow from its time: every walk can be checked. */
static int64_t delta_of(int64_t t_us, uint32_t i)
{
	int64_t v = t_us * 7919 % 100000 - 50000;

	return i == 2 ? v * 40000 : v + i;
}

static void tell(struct ring_lane *l, int64_t t_us)
{
	ring_lane_begin(l);
	for (uint32_t i = 0; i < 3; i++)
		ring_lane_put(l, (uint32_t)(t_us % 50) + i * 1000, delta_of(t_us, i));
	ring_lane_end(l, t_us);
}

static void check_walk(const struct ring_lane *l)
{
	int64_t t_us = l->last_us;
	struct ring_walk w;
	uint32_t rounds = 0;

	ring_walk_begin(&w, l);
	for (; ring_walk_back(&w, 0); t_us--, rounds++) {
		uint32_t key;
		int64_t delta;

		assert_int_equal(w.t_us, t_us);
		assert_int_equal(w.before_us, t_us - 1);
		for (uint32_t i = 0; i < 3; i++) {
			assert_true(ring_walk_change(&w, &key, &delta));
			assert_int_equal(key, (uint32_t)(t_us % 50) + i * 1000);
			assert_int_equal(delta, delta_of(t_us, i));
		}
		assert_false(ring_walk_change(&w, &key, &delta));
	}
	assert_int_equal(rounds, l->count);
	assert_int_equal(t_us, l->begin_us);
}

static void what_was_told_is_read_back_at_every_fill(void **state unused_arg)
{
	struct ring_lane_config cfg = {.max_bytes = 5003, .max_rounds = 1000};
	struct ring_lane l;

	assert_int_equal(ring_lane_init(&l, &cfg), 0);
	for (int64_t t = 1; t < 3000; t++) {
		tell(&l, t);
		check_walk(&l);
		assert_true(l.cap <= 5003 && l.len <= l.cap);
	}
	assert_true(l.evicted > 2000);
	assert_int_equal(l.lost, 0);
	ring_lane_fini(&l);
}

static void the_number_of_rounds_is_bounded_too(void **state unused_arg)
{
	struct ring_lane_config cfg = {.max_bytes = 1 << 20, .max_rounds = 10};
	struct ring_lane l;
	struct ring_walk w;

	assert_int_equal(ring_lane_init(&l, &cfg), 0);
	for (int64_t t = 1; t < 100; t++) {
		tell(&l, t);
		check_walk(&l);
	}
	assert_int_equal(l.count, 10);
	assert_int_equal(l.begin_us, 89);
	assert_int_equal(l.evicted, 0);
	/* a walk stops at the time that was asked for */
	ring_walk_begin(&w, &l);
	for (int64_t t = 99; t > 95; t--)
		assert_true(ring_walk_back(&w, 95));
	assert_false(ring_walk_back(&w, 95));
	ring_lane_fini(&l);
}

static void the_first_round_is_where_it_begins(void **state unused_arg)
{
	struct ring_lane_config cfg = {.max_bytes = 4096, .max_rounds = 10};
	struct ring_walk w;
	struct ring_lane l;

	assert_int_equal(ring_lane_init(&l, &cfg), 0);
	ring_walk_begin(&w, &l);
	assert_false(ring_walk_back(&w, 0));
	tell(&l, 5);
	assert_int_equal(l.begin_us, 5);
	assert_int_equal(l.count, 0);
	assert_int_equal(l.len, 0);
	ring_lane_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_told_is_read_back_at_every_fill),
		cmocka_unit_test(the_number_of_rounds_is_bounded_too),
		cmocka_unit_test(the_first_round_is_where_it_begins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
