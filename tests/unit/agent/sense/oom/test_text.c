/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/text.h"

#include "proto/metric.h"
#include "tests/support/test.h"

static void numbers_are_taken_whole_or_not_at_all(void **state unused_arg)
{
	static const struct {
		const char *text;
		bool taken;
		int64_t value;
		size_t left;
	} rows[] = {
		{"12kB", true, 12, 2},
		{"-1,", true, -1, 1},
		{"0", true, 0, 0},
		{"9223372036854775807", true, INT64_MAX, 0},
		{"9223372036854775808", false, 0, 19},
		{"-", false, 0, 1},
		{"", false, 0, 0},
		{" 1", false, 0, 2},
		{"+1", false, 0, 2},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct text t = text_str(rows[i].text);
		int64_t v = 0;

		assert_int_equal(text_number(&t, &v), rows[i].taken);
		assert_int_equal(v, rows[i].value);
		assert_int_equal(t.len, rows[i].left);
	}
}

static void cuts_are_at_the_first_and_at_the_last_place(void **state unused_arg)
{
	struct text t = text_str("a, b, c");
	struct text before;
	struct text after;

	assert_true(text_cut(t, ", ", &before, &after));
	assert_true(text_is(before, "a") && text_is(after, "b, c"));
	assert_true(text_cut_last(t, ", ", &before, &after));
	assert_true(text_is(before, "a, b") && text_is(after, "c"));
	assert_false(text_cut(t, ";", &before, &after));
	assert_false(text_cut_last(text_of("", 0), "x", NULL, NULL));
	assert_false(text_cut(text_of(NULL, 0), "x", NULL, NULL));
	/* The result may be the subject. */
	assert_true(text_cut(t, ", ", NULL, &t));
	assert_true(text_is(t, "b, c"));
}

static void words_lines_and_values(void **state unused_arg)
{
	struct text t = text_str("  anon 12\n\nfile 3");
	struct text line;

	assert_true(text_line(&t, &line));
	text_skip_spaces(&line);
	assert_true(text_is(text_word(&line), "anon"));
	assert_true(text_is(line, " 12"));
	assert_true(text_line(&t, &line) && line.len == 0);
	assert_true(text_line(&t, &line) && text_is(line, "file 3"));
	assert_false(text_line(&t, &line));
	assert_int_equal(text_value(text_str("order=-1, x"), "order="), -1);
	assert_int_equal(text_value(text_str("order=x"), "order="), METRIC_ABSENT);
	assert_int_equal(text_value(text_str(""), "order="), METRIC_ABSENT);
}

static void copies_end_at_a_nul_and_at_the_size(void **state unused_arg)
{
	char out[4];

	text_copy(out, sizeof(out), text_of("ab\0cd", 5));
	assert_string_equal(out, "ab");
	text_copy(out, sizeof(out), text_str("abcdef"));
	assert_string_equal(out, "abc");
	text_copy(out, sizeof(out), text_of(NULL, 0));
	assert_string_equal(out, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_taken_whole_or_not_at_all),
		cmocka_unit_test(cuts_are_at_the_first_and_at_the_last_place),
		cmocka_unit_test(words_lines_and_values),
		cmocka_unit_test(copies_end_at_a_nul_and_at_the_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
