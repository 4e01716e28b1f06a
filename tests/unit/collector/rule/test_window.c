/* SPDX-License-Identifier: Apache-2.0 */
// link: -lm
#include "collector/rule/window.h"

#include <math.h>

#include "tests/support/test.h"

#define S   1000000LL
#define MIB 1048576.0
#define T0  (1700000000 * S)

#define assert_near(a, b, tolerance)                               \
	do {                                                       \
		double a_ = (a);                                   \
		double b_ = (b);                                   \
		if (!(fabs(a_ - b_) <= (tolerance)))               \
			fail_msg("%.9g is not near %.9g", a_, b_); \
	} while (0)

static double value(struct window *w, enum rule_fn fn)
{
	double v = NAN;

	assert_true(window_value(w, fn, &v));
	return v;
}

/* value(t) every 10 s for so long */
static void fill(struct window *w, int64_t seconds, double from, double per_second)
{
	for (int64_t t = 0; t <= seconds; t += 10)
		assert_int_equal(window_feed(w, T0 + t * S, from + per_second * (double)t), 0);
}

static void functions_of_a_line(void **state unused_arg)
{
	struct window w;

	window_init(&w, 600 * S);
	fill(&w, 1200, 100 * MIB, MIB / 10);
	assert_near(value(&w, RULE_FN_LAST), 220 * MIB, 1);
	assert_near(value(&w, RULE_FN_MAX), 220 * MIB, 64);
	assert_near(value(&w, RULE_FN_SLOPE), MIB / 10, 64);
	assert_near(value(&w, RULE_FN_R2), 1, 1e-6);
	/* the oldest of 60 buckets is 590 s old */
	assert_near(value(&w, RULE_FN_FIRST), 161 * MIB, 64);
	assert_near(value(&w, RULE_FN_DELTA), 59 * MIB, 64);
	assert_near(value(&w, RULE_FN_MIN), 161 * MIB, 64);
	assert_near(value(&w, RULE_FN_AVG), 190.5 * MIB, 0.1 * MIB);
	assert_near(value(&w, RULE_FN_RATE), 59 * MIB / 600, 64);
	assert_near(value(&w, RULE_FN_COUNTED), 60, 0);
	/* deviation of 60 equal steps: step * sqrt(n (n + 1) / 12) */
	assert_near(value(&w, RULE_FN_STDDEV), MIB * sqrt(60.0 * 61 / 12), 0.01 * MIB);
	window_fini(&w);
}

static void a_flat_value_costs_no_buckets(void **state unused_arg)
{
	struct window w;

	window_init(&w, 600 * S);
	fill(&w, 1200, 5 * MIB, 0);
	assert_null(w.buckets);
	assert_near(value(&w, RULE_FN_AVG), 5 * MIB, 0);
	assert_near(value(&w, RULE_FN_SLOPE), 0, 0);
	assert_near(value(&w, RULE_FN_DELTA), 0, 0);
	/* it moves: the past was flat */
	assert_int_equal(window_feed(&w, T0 + 1210 * S, 6 * MIB), 0);
	assert_non_null(w.buckets);
	assert_near(value(&w, RULE_FN_MIN), 5 * MIB, 0);
	assert_near(value(&w, RULE_FN_DELTA), MIB, 0);
	assert_near(value(&w, RULE_FN_SLOPE), 0, 0);
	/* and after a while of rest gives them back */
	for (int64_t t = 1220; t <= 2000; t += 10)
		assert_int_equal(window_feed(&w, T0 + t * S, 6 * MIB), 0);
	assert_null(w.buckets);
	assert_near(value(&w, RULE_FN_MIN), 6 * MIB, 0);
	window_fini(&w);
}

static void too_little_is_unknown(void **state unused_arg)
{
	struct window w;
	double v;

	window_init(&w, 600 * S);
	assert_false(window_value(&w, RULE_FN_LAST, &v));
	fill(&w, 290, MIB, 1);
	assert_false(window_value(&w, RULE_FN_SLOPE, &v));
	assert_false(window_value(&w, RULE_FN_MIN, &v));
	assert_true(window_value(&w, RULE_FN_DELTA, &v));
	assert_int_equal(window_feed(&w, T0 + 300 * S, MIB), 0);
	assert_true(window_value(&w, RULE_FN_SLOPE, &v));
	window_fini(&w);
}

static void holes_start_anew_and_old_samples_are_ignored(void **state unused_arg)
{
	struct window w;
	double v;

	window_init(&w, 600 * S);
	fill(&w, 600, MIB, 1000);
	assert_int_equal(window_feed(&w, T0 + 500 * S, 9 * MIB), 0);
	assert_near(value(&w, RULE_FN_MAX), MIB + 600000, 64);
	assert_int_equal(window_feed(&w, T0 + 1000 * S, 7 * MIB), 0);
	assert_false(window_value(&w, RULE_FN_SLOPE, &v));
	assert_near(value(&w, RULE_FN_MAX), 7 * MIB, 0);
	window_fini(&w);
}

static void tto_is_known_only_with_confidence(void **state unused_arg)
{
	struct window w;
	double v;

	window_init(&w, 3600 * S);
	fill(&w, 2600, 100 * MIB, MIB / 30);
	assert_false(window_tto(&w, 1024 * MIB, true, &v)); /* not 3/4 full */
	window_fini(&w);
	window_init(&w, 3600 * S);
	fill(&w, 2700, 100 * MIB, MIB / 30); /* + 90 MiB */
	assert_true(window_tto(&w, 1000 * MIB, true, &v));
	assert_near(v, 810 * 30, 30);
	assert_true(window_tto(&w, 180 * MIB, true, &v)); /* passed within the window */
	assert_near(v, 0, 0);
	assert_true(window_tto(&w, 50 * MIB, true, &v)); /* moves away from it */
	assert_true(isinf(v));
	window_fini(&w);
	window_init(&w, 3600 * S);
	fill(&w, 3600, 100 * MIB, 8000); /* 28 MiB is below the floor of 32 */
	assert_true(window_tto(&w, 1000 * MIB, true, &v));
	assert_true(isinf(v));
	assert_true(window_tto(&w, 1000 * MIB, false, &v)); /* no bytes: 5 % is enough */
	assert_false(isinf(v));
	window_fini(&w);
	window_init(&w, 3600 * S);
	fill(&w, 3600, 1000 * MIB, 12000); /* 41 MiB is below 5 % */
	assert_true(window_tto(&w, 2000 * MIB, true, &v));
	assert_true(isinf(v));
	window_fini(&w);
	window_init(&w, 3600 * S);
	fill(&w, 3600, 1000 * MIB, -MIB / 20); /* falling towards a lower limit */
	assert_true(window_tto(&w, 100 * MIB, true, &v));
	assert_near(v, 720 * 20, 20);
	window_fini(&w);
}

static void tto_of_noise_is_unknown(void **state unused_arg)
{
	struct window w;
	double v;

	window_init(&w, 3600 * S);
	for (int64_t t = 0; t <= 3600; t += 60)
		assert_int_equal(window_feed(&w, T0 + t * S,
					     (double)((t / 60 * 7919) % 100) * 10 * MIB +
						     (double)t * MIB / 18),
				 0);
	if (value(&w, RULE_FN_SLOPE) > 0 && value(&w, RULE_FN_DELTA) > 64 * MIB) {
		assert_true(value(&w, RULE_FN_R2) < WINDOW_TTO_R2);
		assert_false(window_tto(&w, 9000 * MIB, true, &v));
	} else {
		fail_msg("the noise is not what this test is about");
	}
	window_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_of_a_line),
		cmocka_unit_test(a_flat_value_costs_no_buckets),
		cmocka_unit_test(too_little_is_unknown),
		cmocka_unit_test(holes_start_anew_and_old_samples_are_ignored),
		cmocka_unit_test(tto_is_known_only_with_confidence),
		cmocka_unit_test(tto_of_noise_is_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
