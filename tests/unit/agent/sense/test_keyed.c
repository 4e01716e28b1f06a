/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/keyed.h"

#include "tests/support/test.h"

static const struct keyed_row rows[] = {
	KEYED_ROW("anon", 0),
	KEYED_ROW("slab", 1),
	KEYED_ROW("stack", 1),
	KEYED_ROW("last", 2),
};

static void parse(const char *s, size_t len, int64_t v[3])
{
	v[0] = v[1] = v[2] = METRIC_ABSENT;
	keyed_parse(s, len, rows, ARRAY_SIZE(rows), v);
}

static void parse_text(const char *s, int64_t v[3])
{
	parse(s, strlen(s), v);
}

static void lines_are_found_by_their_whole_key(void **state unused_arg)
{
	int64_t v[3];

	parse_text("anon_thp 9\nanon 5\nano 1\nslab: 3 kB\nstack 4\n", v);
	assert_int_equal(v[0], 5);
	assert_int_equal(v[1], 7);
	assert_int_equal(v[2], METRIC_ABSENT);
	parse_text("last 1\nlast 2\n", v);
	assert_int_equal(v[2], 3);
}

static void what_is_no_number_is_not_believed(void **state unused_arg)
{
	static const char *const bad[] = {
		"anon\n",    "anon \n",   "anon x\n",
		"anon -1\n", "anon 5x\n", "anon 99999999999999999999\n",
		"anon\t5\n", " anon 5\n", "anon 5",
	};
	int64_t v[3];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		parse_text(bad[i], v);
		if (v[0] != METRIC_ABSENT)
			fail_msg("'%s' gave %lld", bad[i], (long long)v[0]);
	}
}

static void sums_stay_below_what_is_exact(void **state unused_arg)
{
	int64_t v[3];

	parse_text("slab 9007199254740992\nstack 1\n", v);
	assert_int_equal(v[1], 9007199254740992);
}

static void a_cut_file_gives_its_whole_lines(void **state unused_arg)
{
	static const char text[] = "anon 123\nslab 45\n";
	int64_t v[3];

	for (size_t len = 0; len < sizeof(text); len++) {
		parse(text, len, v);
		assert_int_equal(v[0], len >= 9 ? 123 : METRIC_ABSENT);
		assert_int_equal(v[1], len >= 17 ? 45 : METRIC_ABSENT);
	}
}

static void pressure_is_read_exactly(void **state unused_arg)
{
	static const char text[] = "some avg10=1.25 avg60=0.00 avg300=0.00 total=77\n"
				   "full avg10=100.00 avg60=0.00 avg300=0.00 total=12345678901\n";
	struct pressure p;

	pressure_parse(text, sizeof(text) - 1, &p);
	assert_int_equal(p.some_avg10, 125);
	assert_int_equal(p.some_total, 77);
	assert_int_equal(p.full_avg10, 10000);
	assert_int_equal(p.full_total, 12345678901);
}

static void pressure_that_is_off_or_cut_is_absent(void **state unused_arg)
{
	static const char text[] = "some avg10=1.2 total=\nfull avg10= total=x\nsome\n";
	struct pressure p;

	pressure_parse("", 0, &p);
	assert_int_equal(p.some_avg10, METRIC_ABSENT);
	pressure_parse(text, sizeof(text) - 1, &p);
	assert_int_equal(p.some_avg10, METRIC_ABSENT);
	assert_int_equal(p.some_total, METRIC_ABSENT);
	assert_int_equal(p.full_avg10, METRIC_ABSENT);
	assert_int_equal(p.full_total, METRIC_ABSENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_found_by_their_whole_key),
		cmocka_unit_test(what_is_no_number_is_not_believed),
		cmocka_unit_test(sums_stay_below_what_is_exact),
		cmocka_unit_test(a_cut_file_gives_its_whole_lines),
		cmocka_unit_test(pressure_is_read_exactly),
		cmocka_unit_test(pressure_that_is_off_or_cut_is_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
