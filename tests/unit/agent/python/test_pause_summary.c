/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/pause_summary.h"

#include "agent/python/pause_list.h"
#include "tests/support/test.h"

static struct pause pause_of(int generation, int64_t duration_ns, int64_t collected)
{
	return (struct pause){.generation = (int8_t)generation,
			      .duration_ns = duration_ns,
			      .collected = collected};
}

static void figures_are_by_generation_and_of_all(void **state unused_arg)
{
	struct pause all[104];
	struct pause_summary s[PAUSE_ROWS];

	/* 100 down to 1, so that they must be sorted */
	for (int i = 0; i < 100; i++)
		all[i] = pause_of(0, 100 - i, i % 2 ? 1 : -1);
	all[100] = pause_of(2, 5000, 0);
	all[101] = pause_of(2, -1, -1);
	all[102] = pause_of(-1, 7, 4);
	all[103] = pause_of(9, 9, -1); /* a target may say anything */
	assert_int_equal(pause_summarize(all, 104, s), 0);
	assert_int_equal(s[0].count, 100);
	assert_int_equal(s[0].timed, 100);
	assert_int_equal(s[0].total_ns, 5050);
	assert_int_equal(s[0].mean_ns, 50);
	assert_int_equal(s[0].p50_ns, 50);
	assert_int_equal(s[0].p99_ns, 99);
	assert_int_equal(s[0].max_ns, 100);
	assert_int_equal(s[0].collected, 50);
	assert_int_equal(s[1].count, 0);
	assert_int_equal(s[1].collected, -1);
	assert_int_equal(s[2].count, 2);
	assert_int_equal(s[2].timed, 1);
	assert_int_equal(s[2].p50_ns, 5000);
	assert_int_equal(s[2].p99_ns, 5000);
	assert_int_equal(s[2].collected, 0);
	assert_int_equal(s[PAUSE_ROW_UNKNOWN].count, 2);
	assert_int_equal(s[PAUSE_ROW_UNKNOWN].collected, 4);
	assert_int_equal(s[PAUSE_ROW_ALL].count, 104);
	assert_int_equal(s[PAUSE_ROW_ALL].timed, 103);
	assert_int_equal(s[PAUSE_ROW_ALL].max_ns, 5000);
}

static void nothing_has_figures_of_nothing(void **state unused_arg)
{
	struct pause_summary s[PAUSE_ROWS];

	assert_int_equal(pause_summarize(NULL, 0, s), 0);
	assert_int_equal(s[PAUSE_ROW_ALL].count, 0);
	assert_int_equal(s[PAUSE_ROW_ALL].max_ns, 0);
}

static void the_longest_come_first(void **state unused_arg)
{
	static const int64_t durations[] = {30, -1, 10, 90, 50, 90, 20};
	struct pause all[ARRAY_SIZE(durations)];
	size_t at[ARRAY_SIZE(durations)];

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		all[i] = pause_of(0, durations[i], 0);
	assert_int_equal(pause_longest(all, ARRAY_SIZE(all), at, 3), 3);
	assert_int_equal(at[0], 3); /* of two the earlier */
	assert_int_equal(at[1], 5);
	assert_int_equal(at[2], 4);
	assert_int_equal(pause_longest(all, ARRAY_SIZE(all), at, 7), 6); /* one has no duration */
	assert_int_equal(at[5], 2);
	assert_int_equal(pause_longest(all, 0, at, 3), 0);
}

static void a_list_is_bounded_and_begins_when_told(void **state unused_arg)
{
	struct pause_list l = {.from_ns = 100};
	struct pause one = pause_of(0, 1, 0);

	one.start_ns = 99;
	pause_list_add(&l, &one);
	assert_int_equal(l.n, 0);
	for (int64_t t = 103; t > 100; t--) {
		one.start_ns = t;
		pause_list_add(&l, &one);
	}
	pause_list_sort(&l);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(l.rows[i].start_ns, 101 + i);
	l.n = 0;
	one.start_ns = 100;
	for (unsigned i = 0; i < PAUSE_LIST_MAX + 5; i++)
		pause_list_add(&l, &one);
	assert_int_equal(l.n, PAUSE_LIST_MAX);
	assert_int_equal(l.not_kept, 5);
	pause_list_fini(&l);
	assert_null(l.rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures_are_by_generation_and_of_all),
		cmocka_unit_test(nothing_has_figures_of_nothing),
		cmocka_unit_test(the_longest_come_first),
		cmocka_unit_test(a_list_is_bounded_and_begins_when_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
