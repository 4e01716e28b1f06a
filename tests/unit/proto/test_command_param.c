/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/command_param.h"

#include <errno.h>

#include "tests/support/test.h"

/* The table itself: a row that breaks a rule of the header breaks signing, flags or JSON. */
static void every_row_is_well_formed(void **state unused_arg)
{
	const struct command_param *p;

	for (unsigned a = 1; a < 256; a++) {
		size_t n = 0;

		for (; (p = command_param_at((enum command_action)a, n)); n++) {
			struct error err;
			char word[COMMAND_PARAM_TEXT_SIZE];

			assert_non_null(command_action_word(a));
			assert_true(strspn(p->name, "abcdefghijklmnopqrstuvwxyz-") ==
				    strlen(p->name));
			assert_true(p->min <= p->max && *p->help);
			assert_int_equal(command_param_find((enum command_action)a, p->name), n);
			if (!p->required)
				assert_int_equal(command_param_check(p, p->preset, &err), 0);
			if (p->unit != COMMAND_UNIT_WORD)
				continue;
			assert_int_equal(p->min, 0);
			assert_non_null(command_param_word(word, p, p->max));
			assert_null(command_param_word(word, p, p->max + 1));
		}
		assert_true(n <= COMMAND_PARAMS);
	}
}

static void names_come_once(void **state unused_arg)
{
	const char *a, *b;

	for (size_t i = 0; (a = command_param_name(i)); i++)
		for (size_t k = 0; (b = command_param_name(k)); k++)
			assert_true(i == k || strcmp(a, b) != 0);
	assert_non_null(command_param_name(0));
}

static const struct command_param bytes = {
	.action = COMMAND_TRIM,
	.name = "high",
	.unit = COMMAND_UNIT_BYTES,
	.required = true,
	.min = 1 << 20,
	.max = (int64_t)1 << 40,
	.help = "the limit",
};
static const struct command_param seconds = {
	.action = COMMAND_TRIM,
	.name = "ttl",
	.unit = COMMAND_UNIT_SECONDS,
	.min = 1,
	.max = 3600,
	.preset = 60,
	.help = "how long",
};
static const struct command_param plain = {
	.action = COMMAND_TRIM,
	.name = "generation",
	.min = 0,
	.max = 2,
	.preset = 2,
	.help = "up to which",
};
static const struct command_param word = {
	.action = COMMAND_TRIM,
	.name = "method",
	.unit = COMMAND_UNIT_WORD,
	.max = 2,
	.words = "one|two|three",
	.help = "which",
};

static void flags_are_read_by_their_unit(void **state unused_arg)
{
	static const struct {
		const struct command_param *p;
		const char *text;
		int64_t value;
	} rows[] = {
		{&bytes, "64MiB", 64 << 20},
		{&bytes, "1048576", 1 << 20},
		{&seconds, "5min", 300},
		{&seconds, "90", 90},
		{&plain, "0", 0},
		{&plain, "2", 2},
		{&word, "one", 0},
		{&word, "three", 2},
	};
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t value = -7;

		assert_int_equal(command_param_parse(rows[i].p, rows[i].text, &value, &err), 0);
		assert_int_equal(value, rows[i].value);
	}
}

static void what_is_wrong_is_named_with_its_bound(void **state unused_arg)
{
	static const struct {
		const struct command_param *p;
		const char *text;
		const char *says;
	} rows[] = {
		{&bytes, "64", "trim: 'high' is 64, but at least 1 MiB"},
		{&bytes, "2TiB", "'high' is 2199023255552, but at most 1 TiB"},
		{&bytes, "much", "trim: 'high' is 'much': expected a size such as 64MiB"},
		{&seconds, "2h", "trim: 'ttl' is 7200, but at most 3600 s"},
		{&seconds, "1500ms", "'ttl' is '1500ms': expected a duration of whole seconds"},
		{&plain, "3", "'generation' is 3, but at most 2"},
		{&plain, "-1", "'generation' is -1, but at least 0"},
		{&plain, "1x", "'generation' is '1x': expected a whole number"},
		{&plain, "", "expected a whole number"},
		{&word, "four", "'method' is 'four', but one of one|two|three"},
		{&word, "", "one of one|two|three"},
		{&word, "on", "one of one|two|three"},
		{&word, "one|two", "one of one|two|three"},
	};
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t value = -7;

		assert_int_equal(command_param_parse(rows[i].p, rows[i].text, &value, &err),
				 -EINVAL);
		assert_says(err, rows[i].says);
		assert_int_equal(value, -7);
	}
	assert_int_equal(command_param_check(&bytes, INT64_MIN, &err), -EINVAL);
	assert_says(err, "trim: 'high' must be given: the limit");
	assert_int_equal(command_param_check(&word, 3, &err), -EINVAL);
	assert_says(err, "'method' is one of one|two|three");
}

static void an_action_without_parameters_takes_none(void **state unused_arg)
{
	int64_t params[COMMAND_PARAMS];
	struct error err;

	command_params_preset(COMMAND_TRIM, params);
	assert_int_equal(command_params_check(COMMAND_TRIM, params, &err), 0);
	for (size_t i = 0; i < COMMAND_PARAMS; i++) {
		command_params_preset(COMMAND_TRIM, params);
		params[i] = 1;
		assert_int_equal(command_params_check(COMMAND_TRIM, params, &err), -EINVAL);
		assert_says(err, "trim takes no");
	}
	assert_int_equal(command_params_set(COMMAND_TRIM, "method", "live", params, &err), -EINVAL);
	assert_says(err, "trim takes no parameter 'method'");
}

static void what_is_set_is_told(void **state unused_arg)
{
	char text[COMMAND_PARAMS_SIZE];
	int64_t params[COMMAND_PARAMS];
	struct error err;

	command_params_preset(COMMAND_CENSUS, params);
	assert_string_equal(command_params_text(text, COMMAND_CENSUS, params, ""),
			    "method=fitting");
	assert_int_equal(command_params_set(COMMAND_CENSUS, "method", "stopped", params, &err), 0);
	assert_int_equal(command_params_check(COMMAND_CENSUS, params, &err), 0);
	assert_string_equal(command_params_text(text, COMMAND_CENSUS, params, ""),
			    "method=stopped");
	params[1] = 1;
	assert_int_equal(command_params_check(COMMAND_CENSUS, params, &err), -EINVAL);
	assert_says(err, "census takes no further parameter");
	assert_string_equal(command_params_text(text, COMMAND_TRIM, params, ""), "");
}

static void a_text_is_a_name_of_the_length_that_is_said(void **state unused_arg)
{
	static const char *const good[] = {"dict", "app.Entry", "m.f.<locals>.C",
					   "app.Gr\xc3\xb6\xc3\x9f"
					   "e"};
	static const char *const bad[] = {"",      "a b",  "a'",  "a\\",   "a\n",
					  "a\x1b", "a\"b", "(a)", "a\xff", "a#"};
	char text[COMMAND_PARAMS_SIZE];
	int64_t params[COMMAND_PARAMS];
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		command_params_preset(COMMAND_REFERRERS, params);
		assert_int_equal(command_params_check(COMMAND_REFERRERS, params, &err), -EINVAL);
		assert_says(err, "'type' must be given");
		assert_int_equal(command_params_set(COMMAND_REFERRERS, "type", good[i], params,
						    &err),
				 0);
		assert_int_equal(command_params_check(COMMAND_REFERRERS, params, &err), 0);
		assert_int_equal(command_text_check(COMMAND_REFERRERS, params, good[i], &err), 0);
		assert_int_equal(command_text_check(COMMAND_REFERRERS, params, "other.AnotherName",
						    &err),
				 -EINVAL);
		assert_says(err, "has not the length that was said");
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(command_params_set(COMMAND_REFERRERS, "type", bad[i], params,
						    &err),
				 -EINVAL);
	assert_int_equal(command_text_check(COMMAND_TRIM, params, "any text", &err), 0);
	assert_null(command_param_of_text(COMMAND_SIZES));
	command_params_preset(COMMAND_REFERRERS, params);
	assert_int_equal(command_params_set(COMMAND_REFERRERS, "type", "app.E", params, &err), 0);
	assert_string_equal(command_params_text(text, COMMAND_REFERRERS, params, "app.E"),
			    "type=app.E max=5 objects=2000000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_well_formed),
		cmocka_unit_test(names_come_once),
		cmocka_unit_test(flags_are_read_by_their_unit),
		cmocka_unit_test(what_is_wrong_is_named_with_its_bound),
		cmocka_unit_test(an_action_without_parameters_takes_none),
		cmocka_unit_test(what_is_set_is_told),
		cmocka_unit_test(a_text_is_a_name_of_the_length_that_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
