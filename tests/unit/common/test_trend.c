/* SPDX-License-Identifier: Apache-2.0 */
// link: -lm
#include "common/trend.h"

#include <math.h>

#include "common/check.h"
#include "tests/support/test.h"

#define assert_near(a, b, tolerance)                               \
	do {                                                       \
		double a_ = (a);                                   \
		double b_ = (b);                                   \
		if (!(fabs(a_ - b_) <= (tolerance)))               \
			fail_msg("%.9g is not near %.9g", a_, b_); \
	} while (0)

static void theil_sen_ignores_outliers(void **state unused_arg)
{
	/* y = 2 t + 1 with two wild points; the pairs were counted by hand in Sen's way */
	struct trend_point p[] = {{0, 1},  {1, 3},   {2, 100}, {3, 7}, {4, 9},
				  {5, 11}, {6, -50}, {7, 15},  {8, 17}};
	struct trend_point pair[] = {{0, 5}, {4, 6}};
	struct trend_point even[] = {{0, 0}, {1, 1}, {2, 4}};

	assert_near(trend_theil_sen(p, ARRAY_SIZE(p)), 2, 1e-12);
	assert_near(trend_theil_sen(pair, 2), 0.25, 1e-12);
	/* slopes 1, 2, 3 */
	assert_near(trend_theil_sen(even, 3), 2, 1e-12);
	assert_near(trend_theil_sen(even, 1), 0, 0);
	assert_near(trend_theil_sen(even, 0), 0, 0);
}

static void theil_sen_takes_the_middle_of_an_even_number(void **state unused_arg)
{
	/* slopes of the six pairs: 1, 1.5, 1, 2, 1, 0 -> sorted 0 1 1 1 1.5 2 */
	struct trend_point p[] = {{0, 0}, {1, 1}, {2, 3}, {3, 3}};
	/* slopes 1 2 4 3 6 9 ... of squares at 0 1 2 3: 1 2 3 3 4 5 -> 3 */
	struct trend_point q[] = {{0, 0}, {1, 1}, {2, 4}, {3, 9}};

	assert_near(trend_theil_sen(p, 4), 1, 1e-12);
	assert_near(trend_theil_sen(q, 4), 3, 1e-12);
}

static void theil_sen_equals_sorting_all_pairs(void **state unused_arg)
{
	uint32_t x = 1;

	for (int round = 0; round < 200; round++) {
		struct trend_point p[TREND_POINTS];
		size_t n = 2 + (size_t)round % (TREND_POINTS - 1);
		double slope;
		size_t below = 0;
		size_t above = 0;
		size_t pairs = n * (n - 1) / 2;

		for (size_t i = 0; i < n; i++) {
			x = x * 1664525 + 1013904223;
			p[i] = (struct trend_point){(double)i, (double)(x >> 24)};
		}
		slope = trend_theil_sen(p, n);
		for (size_t i = 0; i < n; i++)
			for (size_t j = i + 1; j < n; j++) {
				double s = (p[j].v - p[i].v) / (p[j].t - p[i].t);

				below += s < slope - 1e-9;
				above += s > slope + 1e-9;
			}
		assert_true(below <= pairs / 2 && above <= pairs / 2);
	}
}

static void r2_of_known_sets(void **state unused_arg)
{
	struct trend_point line[] = {{0, 1}, {1, 3}, {2, 5}};
	struct trend_point flat[] = {{0, 1}, {1, 1}, {2, 1}};
	/* Anscombe's first set has r = 0.81642 */
	struct trend_point anscombe[] = {{10, 8.04},  {8, 6.95},  {13, 7.58}, {9, 8.81},
					 {11, 8.33},  {14, 9.96}, {6, 7.24},  {4, 4.26},
					 {12, 10.84}, {7, 4.82},  {5, 5.68}};

	assert_near(trend_r2(line, 3), 1, 1e-12);
	assert_near(trend_r2(flat, 3), 0, 0);
	assert_near(trend_r2(anscombe, 11), 0.6665, 0.0001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(theil_sen_ignores_outliers),
		cmocka_unit_test(theil_sen_takes_the_middle_of_an_even_number),
		cmocka_unit_test(theil_sen_equals_sorting_all_pairs),
		cmocka_unit_test(r2_of_known_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
