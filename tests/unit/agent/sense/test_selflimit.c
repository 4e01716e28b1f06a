/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/selflimit.h"

#include "tests/support/test.h"

#define SEC INT64_C(1000000)

/* A process that uses share/10000 of a core from second 'from' on, judged each 10 s until an answer
 * other than 'as before' comes, for at most an hour. The second of the answer, or -1. */
static int64_t until(struct selflimit *s, int64_t from, uint32_t share, int64_t rss,
		     enum selflimit_answer *ret)
{
	for (int64_t t = from; t < from + 3600; t += 10) {
		*ret = selflimit_judge(s, t * SEC, t * SEC / 10000 * share, rss);
		if (*ret != SELFLIMIT_AS_BEFORE)
			return t - from;
	}
	return -1;
}

static void a_modest_process_is_left_alone(void **state unused_arg)
{
	struct selflimit s = {.cfg = {.cpu_share = 500, .rss_kib = 32768}};
	enum selflimit_answer a;

	assert_int_equal(until(&s, 1000, 400, 30000, &a), -1);
	assert_true(selflimit_allows_extras(&s));
	assert_int_equal(selflimit_stretch(&s), 1);
}

static void without_ceilings_nothing_is_judged(void **state unused_arg)
{
	struct selflimit s = {.level = 0};
	enum selflimit_answer a;

	assert_int_equal(until(&s, 1000, 9000, 1 << 20, &a), -1);
}

static void a_busy_process_does_less_step_by_step(void **state unused_arg)
{
	struct selflimit s = {.cfg = {.cpu_share = 500, .rss_kib = 32768}};
	enum selflimit_answer a;
	int64_t at = 1000;

	for (unsigned level = 1; level <= SELFLIMIT_LEVELS; level++) {
		int64_t took = until(&s, at, 2000, 1000, &a);

		assert_in_range(took, 10, 120); /* a whole window is judged, not a moment */
		assert_int_equal(a, SELFLIMIT_HARDER);
		assert_int_equal(s.level, level);
		at += took + 10;
	}
	assert_int_equal(selflimit_stretch(&s), 4);
	/* CPU alone never ends it */
	assert_int_equal(until(&s, at, 2000, 1000, &a), -1);
}

static void it_eases_after_a_long_calm(void **state unused_arg)
{
	struct selflimit s = {.cfg = {.cpu_share = 500, .rss_kib = 32768}, .level = 2};
	enum selflimit_answer a;
	int64_t took = until(&s, 5000, 100, 1000, &a);

	assert_int_equal(a, SELFLIMIT_EASED);
	assert_in_range(took, SELFLIMIT_EASE_US / SEC, SELFLIMIT_EASE_US / SEC + 120);
	assert_int_equal(s.level, 1);
	/* just below the ceiling is no calm */
	s = (struct selflimit){.cfg = s.cfg, .level = 1};
	assert_int_equal(until(&s, 5000, 480, 1000, &a), -1);
	assert_int_equal(s.level, 1);
}

static void memory_that_stays_ends_it(void **state unused_arg)
{
	struct selflimit s = {.cfg = {.cpu_share = 500, .rss_kib = 32768}};
	enum selflimit_answer a = SELFLIMIT_AS_BEFORE;
	int64_t at = 1000;

	for (unsigned i = 0; i <= SELFLIMIT_LEVELS; i++) {
		assert_int_not_equal(a, SELFLIMIT_END);
		at += until(&s, at, 10, 40000, &a) + 10;
	}
	assert_int_equal(a, SELFLIMIT_END);
}

static void unknown_memory_is_no_reason(void **state unused_arg)
{
	struct selflimit s = {.cfg = {.cpu_share = 0, .rss_kib = 100}};
	enum selflimit_answer a;

	assert_int_equal(until(&s, 1000, 10, -1, &a), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_modest_process_is_left_alone),
		cmocka_unit_test(without_ceilings_nothing_is_judged),
		cmocka_unit_test(a_busy_process_does_less_step_by_step),
		cmocka_unit_test(it_eases_after_a_long_calm),
		cmocka_unit_test(memory_that_stays_ends_it),
		cmocka_unit_test(unknown_memory_is_no_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
